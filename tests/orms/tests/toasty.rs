//! toasty on Postgres: the columns are of a type that only sealed text gets into.
//!
//! Its SQLite driver and that of sqlx need different releases of the same C library, which can't be in one
//! program.

use std::slice::from_mut;

use pii::{Cryptor, EncryptedStr, ErrorKind, FieldSelection, PiiModel, TestKeyring, ValueState, ctx};
use postgres::Schema;
use sqlx::AssertSqlSafe;
use toasty_driver_postgresql::PostgreSQL;

mod postgres;

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

mod rows {
    use pii::{Encrypted, EncryptedStr};

    use super::Customer;

    /// A column that holds sealed text: nothing else gets into it, for what it holds is private to this module.
    #[derive(Clone, Debug, PartialEq, toasty::Embed)]
    pub struct Sealed(String);

    impl<T> TryFrom<&Encrypted<T>> for Sealed {
        type Error = pii::Error;

        fn try_from(value: &Encrypted<T>) -> pii::Result<Self> {
            Ok(Self(value.stored_text()?.to_string()))
        }
    }

    impl<T> From<Sealed> for Encrypted<T> {
        fn from(sealed: Sealed) -> Self {
            Self::from_stored(sealed.0)
        }
    }

    #[derive(Debug, toasty::Model)]
    #[table = "customers"]
    pub struct CustomerRow {
        #[key]
        pub id: i64,
        pub tenant: String,
        pub email: Sealed,
        pub phone: Option<Sealed>,
    }

    impl From<CustomerRow> for Customer {
        fn from(row: CustomerRow) -> Self {
            let CustomerRow { id, tenant, email, phone } = row;
            Self { id, tenant, email: email.into(), phone: phone.map(EncryptedStr::from) }
        }
    }

    impl CustomerRow {
        pub(crate) async fn insert(
            customer: &Customer,
            db: &mut toasty::Db,
        ) -> Result<Self, Box<dyn std::error::Error>> {
            let row = toasty::create!(CustomerRow {
                id: customer.id,
                tenant: &customer.tenant,
                email: Sealed::try_from(&customer.email)?,
                phone: customer.phone.as_ref().map(Sealed::try_from).transpose()?,
            });
            Ok(row.exec(db).await?)
        }

        pub(crate) async fn set(
            &mut self,
            customer: &Customer,
            db: &mut toasty::Db,
        ) -> Result<(), Box<dyn std::error::Error>> {
            let email = Sealed::try_from(&customer.email)?;
            let phone = customer.phone.as_ref().map(Sealed::try_from).transpose()?;
            Ok(self.update().email(email).phone(phone).exec(db).await?)
        }
    }
}
use rows::CustomerRow;

struct TestDatabase {
    db: toasty::Db,
    schema: Schema,
}

impl TestDatabase {
    async fn new() -> Self {
        let schema = Schema::new().await;
        let models = toasty::models!(CustomerRow);
        let driver = PostgreSQL::new(schema.url()).unwrap();
        let db = toasty::Db::builder().models(models).build(driver).await.unwrap();
        db.push_schema().await.unwrap();
        Self { db, schema }
    }

    async fn load(&mut self, id: i64) -> Customer {
        CustomerRow::get_by_id(&mut self.db, &id).await.unwrap().into()
    }

    async fn execute(&mut self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.schema.connection).await.unwrap();
    }

    async fn emails(&mut self) -> Vec<String> {
        let query = sqlx::query_scalar("select email from customers order by id");
        query.fetch_all(&mut self.schema.connection).await.unwrap()
    }

    async fn end(self) {
        drop(self.db);
        self.schema.end().await;
    }
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

fn customer(id: i64) -> Customer {
    Customer {
        id,
        tenant: "acme".to_owned(),
        email: EncryptedStr::new(format!("ada{id}@example.com")),
        phone: (id == 1).then(|| EncryptedStr::new("555-0100")),
    }
}

#[tokio::test]
async fn rows_are_stored_sealed_loaded_sealed_and_opened_on_request() {
    let (mut test, cryptor) = (TestDatabase::new().await, cryptor());
    let mut all = [customer(1), customer(2)];
    cryptor.seal(&mut all).await.unwrap();
    for customer in &all {
        CustomerRow::insert(customer, &mut test.db).await.unwrap();
    }
    assert!(test.emails().await.iter().all(|text| text.starts_with("ENC:")));

    let mut loaded = [test.load(1).await, test.load(2).await];
    assert_eq!(loaded[0].email.state(), ValueState::Sealed);
    cryptor.open(&mut loaded).await.unwrap();
    assert_eq!(loaded[0].email.expose().unwrap(), "ada1@example.com");
    assert_eq!(loaded[0].phone.as_ref().unwrap().expose().unwrap(), "555-0100");
    assert!(loaded[1].phone.is_none());
    test.end().await;
}

#[tokio::test]
async fn what_is_not_sealed_is_not_stored() {
    let (mut test, cryptor) = (TestDatabase::new().await, cryptor());
    let mut ada = customer(1);
    let error = CustomerRow::insert(&ada, &mut test.db).await.unwrap_err();
    assert_eq!(error.downcast::<pii::Error>().unwrap().kind(), ErrorKind::State);
    assert!(test.emails().await.is_empty());
    cryptor.seal(from_mut(&mut ada)).await.unwrap();
    CustomerRow::insert(&ada, &mut test.db).await.unwrap();
    let before = test.emails().await;

    let mut row = CustomerRow::get_by_id(&mut test.db, &1).await.unwrap();
    let mut ada = test.load(1).await;
    cryptor.open_each(from_mut(&mut ada), &FieldSelection::Nothing).await.unwrap();
    ada.email.set("countess@example.com");
    let error = row.set(&ada, &mut test.db).await.unwrap_err();
    assert_eq!(error.downcast::<pii::Error>().unwrap().kind(), ErrorKind::State);
    assert_eq!(test.emails().await, before);
    cryptor.seal(from_mut(&mut ada)).await.unwrap();
    row.set(&ada, &mut test.db).await.unwrap();
    assert_ne!(test.emails().await, before);
    let mut ada = test.load(1).await;
    cryptor.open(from_mut(&mut ada)).await.unwrap();
    assert_eq!(ada.email.expose().unwrap(), "countess@example.com");
    test.end().await;
}

#[tokio::test]
async fn a_value_of_another_row_or_tenant_does_not_open() {
    let (mut test, cryptor) = (TestDatabase::new().await, cryptor());
    let mut all = [customer(1), customer(2)];
    cryptor.seal(&mut all).await.unwrap();
    for customer in &all {
        CustomerRow::insert(customer, &mut test.db).await.unwrap();
    }
    cryptor.open(from_mut(&mut test.load(2).await)).await.unwrap();

    test.execute("update customers set email = (select email from customers where id = 1)").await;
    let error = cryptor.open(from_mut(&mut test.load(2).await)).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("email")));
    cryptor.open(from_mut(&mut test.load(1).await)).await.unwrap();

    test.execute("update customers set tenant = 'initech'").await;
    assert!(cryptor.open(from_mut(&mut test.load(1).await)).await.unwrap_err().is_integrity());
    let scoped = cryptor.scoped(ctx!(tenant = "acme"));
    let error = scoped.open(from_mut(&mut test.load(1).await)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);

    test.execute("update customers set email = 'ada@example.com', tenant = 'acme'").await;
    let error = cryptor.open(from_mut(&mut test.load(1).await)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    test.end().await;
}

//! sea-orm on SQLite and Postgres: the columns of the entity are `Ciphertext`, the model has the fields that may be plain.

use std::slice::from_mut;

use customer::Entity as Customers;
use pii::{
    Ciphertext, Cryptor, Encrypted, EncryptedStr, ErrorKind, Json, PiiModel, TestKeyring, ToActiveValue as _,
    ValueState, ctx,
};
use sea_orm::{
    ActiveModelTrait as _,
    ActiveValue::{self, Set},
    ColumnTrait as _, ConnectOptions, ConnectionTrait as _, Database, DatabaseConnection, DbErr,
    EntityTrait as _, FromQueryResult, IntoActiveModel as _, ModelTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Schema, TransactionTrait as _, Value,
    sea_query::{Expr, ValueType as _},
};

mod postgres;

mod customer {
    use pii::Ciphertext;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "customers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: i64,
        pub tenant: String,
        pub email: Ciphertext,
        pub phone: Option<Ciphertext>,
        pub birthday: Ciphertext,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

#[derive(PiiModel, FromQueryResult)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
    birthday: Encrypted<Json<(u16, u8, u8)>>,
}

impl TryFrom<&Customer> for customer::ActiveModel {
    type Error = pii::Error;

    fn try_from(customer: &Customer) -> pii::Result<Self> {
        Ok(Self {
            id: Set(customer.id),
            tenant: Set(customer.tenant.clone()),
            email: customer.email.to_active_value()?,
            phone: customer.phone.to_active_value()?,
            birthday: customer.birthday.to_active_value()?,
        })
    }
}

impl Customer {
    fn new(id: i64) -> Self {
        Self {
            id,
            tenant: "acme".to_owned(),
            email: EncryptedStr::new(format!("ada{id}@example.com")),
            phone: Some(EncryptedStr::new("555-0100")),
            birthday: Encrypted::json(&(1815, 12, 10)).unwrap(),
        }
    }

    fn to_row(&self) -> pii::Result<customer::ActiveModel> {
        self.try_into()
    }
}

async fn in_memory() -> DatabaseConnection {
    connect("sqlite::memory:").await
}

/// With a table made from the entity.
async fn connect(url: &str) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(1).sqlx_logging(false);
    let db = Database::connect(options).await.unwrap();
    let table = Schema::new(db.get_database_backend()).create_table_from_entity(Customers);
    db.execute(&table).await.unwrap();
    db
}

/// The key of a `TestKeyring` is the same in every cryptor.
fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

async fn insert(db: &DatabaseConnection, customers: &mut [Customer]) {
    cryptor().seal(customers).await.unwrap();
    let rows = customers.iter().map(Customer::to_row).collect::<pii::Result<Vec<_>>>().unwrap();
    Customers::insert_many(rows).exec(db).await.unwrap();
}

async fn load(db: &DatabaseConnection, id: i64) -> Customer {
    Customers::find_by_id(id).into_model::<Customer>().one(db).await.unwrap().unwrap()
}

async fn change(db: &DatabaseConnection, id: i64, column: customer::Column, value: impl Into<Value>) {
    let change = Customers::update_many().col_expr(column, Expr::value(value));
    change.filter(customer::Column::Id.eq(id)).exec(db).await.unwrap();
}

macro_rules! on_both {
    ($($check:ident),* $(,)?) => {
        mod on_sqlite {$(
            #[tokio::test]
            async fn $check() {
                super::$check(&super::in_memory().await).await;
            }
        )*}

        mod on_postgres {$(
            #[tokio::test]
            async fn $check() {
                let schema = crate::postgres::Schema::new().await;
                let db = super::connect(&schema.url()).await;
                super::$check(&db).await;
                db.close().await.unwrap();
                schema.end().await;
            }
        )*}
    };
}

on_both! {
    rows_are_stored_sealed_loaded_sealed_and_opened_on_request,
    an_unsealed_model_is_no_row,
    what_was_not_changed_is_written_back_as_it_was,
    a_value_of_another_row_or_tenant_does_not_open,
    stored_text_that_is_not_sealed_is_no_ciphertext,
    a_row_is_passed_on_as_it_is,
}

async fn rows_are_stored_sealed_loaded_sealed_and_opened_on_request(db: &DatabaseConnection) {
    let cryptor = cryptor();
    let mut all = [Customer::new(1), Customer::new(2)];
    all[1].phone = None;
    insert(db, &mut all).await;

    let query = Customers::find_by_id(1).select_only().column(customer::Column::Email);
    let stored: String = query.into_tuple().one(db).await.unwrap().unwrap();
    assert!(stored.starts_with("ENC:"));
    let rows: Vec<customer::Model> =
        Customers::find().order_by_asc(customer::Column::Id).all(db).await.unwrap();
    assert_eq!(rows[0].email.as_str(), stored);
    assert!(rows[0].phone.is_some() && rows[1].phone.is_none());

    let query = Customers::find().order_by_asc(customer::Column::Id);
    let mut loaded: Vec<Customer> = query.into_model().all(db).await.unwrap();
    assert_eq!(loaded[0].email.state(), ValueState::Sealed);
    assert_eq!(loaded[0].email.expose().unwrap_err().kind(), ErrorKind::State);
    cryptor.open(&mut loaded).await.unwrap();
    assert_eq!(loaded[0].email.expose().unwrap(), "ada1@example.com");
    assert_eq!(loaded[0].phone.as_ref().unwrap().expose().unwrap(), "555-0100");
    assert_eq!(loaded[1].birthday.expose().unwrap(), (1815, 12, 10));
    assert!(loaded[1].phone.is_none());
}

async fn an_unsealed_model_is_no_row(db: &DatabaseConnection) {
    let cryptor = cryptor();
    let mut ada = Customer::new(1);
    assert_eq!(ada.to_row().unwrap_err().kind(), ErrorKind::State);

    cryptor.seal(from_mut(&mut ada)).await.unwrap();
    ada.to_row().unwrap().insert(db).await.unwrap();

    ada.phone = Some(EncryptedStr::new("555-0199"));
    let error = ada.to_row().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(!format!("{error} {error:?}").contains("555"));
    ada.phone = None;
    ada.to_row().unwrap().update(db).await.unwrap();
    assert!(load(db, 1).await.phone.is_none());
}

async fn what_was_not_changed_is_written_back_as_it_was(db: &DatabaseConnection) {
    let cryptor = cryptor();
    insert(db, &mut [Customer::new(1)]).await;
    let before = Customers::find_by_id(1).one(db).await.unwrap().unwrap();

    let mut ada = load(db, 1).await;
    ada.email.set("countess@example.com");
    // a loaded model gets its place from the cryptor
    cryptor.open_each(from_mut(&mut ada), &pii::FieldSelection::Nothing).await.unwrap();
    cryptor.seal(from_mut(&mut ada)).await.unwrap();
    let transaction = db.begin().await.unwrap();
    let after = ada.to_row().unwrap().update(&transaction).await.unwrap();
    transaction.commit().await.unwrap();
    assert_ne!(after.email, before.email);
    assert_eq!((&after.phone, &after.birthday), (&before.phone, &before.birthday));

    let mut ada = load(db, 1).await;
    cryptor.open(from_mut(&mut ada)).await.unwrap();
    assert_eq!(ada.email.expose().unwrap(), "countess@example.com");
}

async fn a_value_of_another_row_or_tenant_does_not_open(db: &DatabaseConnection) {
    let cryptor = cryptor();
    insert(db, &mut [Customer::new(1), Customer::new(2)]).await;
    let rows = Customers::find().order_by_asc(customer::Column::Id).all(db).await.unwrap();
    cryptor.open(from_mut(&mut load(db, 2).await)).await.unwrap();

    change(db, 2, customer::Column::Email, rows[0].email.clone()).await;
    let error = cryptor.open(from_mut(&mut load(db, 2).await)).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("email")));

    change(db, 2, customer::Column::Email, rows[1].email.clone()).await;
    cryptor.open(from_mut(&mut load(db, 2).await)).await.unwrap();
    change(db, 2, customer::Column::Tenant, "initech").await;
    assert!(cryptor.open(from_mut(&mut load(db, 2).await)).await.unwrap_err().is_integrity());
    let scoped = cryptor.scoped(ctx!(tenant = "acme"));
    let error = scoped.open(from_mut(&mut load(db, 2).await)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
}

async fn stored_text_that_is_not_sealed_is_no_ciphertext(db: &DatabaseConnection) {
    let cryptor = cryptor();
    insert(db, &mut [Customer::new(1)]).await;
    change(db, 1, customer::Column::Email, "ada@example.com").await;
    let error = Customers::find_by_id(1).one(db).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("ada@"), "{error:?}");
    let DbErr::TryIntoErr { source, .. } = error else { panic!("{error}") };
    let error: &pii::Error = source.downcast_ref().unwrap();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);

    // the model keeps it for the policy of its field, which refuses it here
    let mut legacy = load(db, 1).await;
    assert_eq!(legacy.email.state(), ValueState::Legacy);
    assert_eq!(legacy.to_row().unwrap_err().kind(), ErrorKind::NotEncrypted);
    assert_eq!(cryptor.open(from_mut(&mut legacy)).await.unwrap_err().kind(), ErrorKind::NotEncrypted);
}

#[tokio::test]
async fn null_is_an_error_where_the_field_is_not_optional() {
    let db = in_memory().await;
    db.execute_unprepared("drop table customers").await.unwrap();
    db.execute_unprepared(
        "create table customers (id integer, tenant text, email text, phone text, birthday text)",
    )
    .await
    .unwrap();
    db.execute_unprepared("insert into customers values (1, 'acme', null, null, null)").await.unwrap();
    let model = Customers::find_by_id(1).into_model::<Customer>().one(&db).await;
    let row = Customers::find_by_id(1).one(&db).await;
    for error in [model.err().unwrap(), row.err().unwrap()] {
        assert!(matches!(&error, DbErr::Type(text) if text.contains("email")), "{error:?}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_an_error_that_does_not_show_them() {
    let db = in_memory().await;
    insert(&db, &mut [Customer::new(1)]).await;
    db.execute_unprepared("update customers set email = x'616461ff'").await.unwrap();
    let error = Customers::find_by_id(1).into_model::<Customer>().one(&db).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("ada") && !shown.contains("97, 100, 97"), "{shown}");
}

#[test]
fn a_ciphertext_is_a_value_and_back() {
    let value = Value::from("ENC:no".to_owned());
    assert!(<Ciphertext as sea_orm::sea_query::ValueType>::try_from(value).is_err());
    assert_eq!(Ciphertext::column_type(), sea_orm::sea_query::ColumnType::Text);
    let none: ActiveValue<Option<Ciphertext>> = None::<EncryptedStr>.to_active_value().unwrap();
    assert_eq!(none.into_wrapped_value(), Set(Value::String(None)));
}

async fn a_row_is_passed_on_as_it_is(db: &DatabaseConnection) {
    let cryptor = cryptor();
    insert(db, &mut [Customer::new(1)]).await;
    let row = Customers::find_by_id(1).one(db).await.unwrap().unwrap();
    row.clone().delete(db).await.unwrap();
    let again = row.clone().into_active_model().reset_all().insert(db).await.unwrap();
    assert_eq!(again, row);
    let found = Customers::find().filter(customer::Column::Email.eq(row.email)).one(db).await.unwrap();
    assert!(found.is_some());
    cryptor.open(from_mut(&mut load(db, 1).await)).await.unwrap();
}

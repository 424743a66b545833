//! Rows in a database, under keys of KMS.

use pii::{
    Cryptor, DecryptPii as _, EncryptedStr, ErrorKind, PiiModel, SqlTable,
    testing::kms::{Fault, Operation},
};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

use super::support::{Kms, TENANT};

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", context(app = "billing", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

fn customer(id: i64, tenant: &str) -> Customer {
    Customer {
        id,
        tenant: tenant.to_owned(),
        email: EncryptedStr::new(format!("user{id}@example.com")),
        phone: Some(EncryptedStr::new(format!("555-{id:04}"))),
    }
}

async fn pool() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::query("create table customers (id integer primary key, tenant text, email text, phone text)")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

async fn count(pool: &SqlitePool) -> i64 {
    sqlx::query_scalar("select count(*) from customers").fetch_one(pool).await.unwrap()
}

fn cryptor(kms: &Kms) -> Cryptor {
    Cryptor::envelope().keyring(kms.keyring()).build().unwrap()
}

#[tokio::test]
async fn a_thousand_rows_cost_one_call_each_way() {
    let kms = Kms::start().await;
    let pool = pool().await;
    let writer = cryptor(&kms);
    let rows: Vec<Customer> = (0..1000).map(|id| customer(id, TENANT)).collect();
    SqlTable::<Customer, _>::new(&pool, &writer).insert_many(&rows).await.unwrap();
    assert_eq!(kms.fake.calls(Operation::GenerateDataKey), 1);
    assert_eq!(kms.fake.total_calls(), 1);

    let reader = cryptor(&kms);
    let read = sqlx::query_as::<_, Customer>("select * from customers order by id")
        .decrypt_pii(&reader)
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(read.len(), 1000);
    for (id, row) in (0..).zip(&read) {
        assert_eq!(row.email.expose().unwrap(), &format!("user{id}@example.com"));
    }
    assert_eq!(kms.fake.calls(Operation::Decrypt), 1);
    assert_eq!(kms.fake.total_calls(), 2);
}

#[tokio::test]
async fn an_outage_loses_nothing_and_writes_nothing_by_halves() {
    let kms = Kms::start().await;
    let pool = pool().await;
    let first = cryptor(&kms);
    let table = SqlTable::<Customer, _>::new(&pool, &first);
    table.insert_many(&[customer(1, TENANT), customer(2, "initech")]).await.unwrap();

    let second = cryptor(&kms);
    let table = SqlTable::<Customer, _>::new(&pool, &second);
    table.get(1).decrypt_pii().await.unwrap();
    kms.fake.inject(Fault::KeyUnavailable.until_cleared());
    // the key of one tenant is cached, that of the other is not
    let row = table.get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.email.expose().unwrap(), "user1@example.com");
    let error = table.get(2).decrypt_pii().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert_eq!(error.model_name(), Some("customer"));
    assert_eq!(error.key_id(), Some(&*kms.key));
    let page = sqlx::query_as::<_, Customer>("select * from customers order by id");
    let error = page.decrypt_pii(&second).fetch_all(&pool).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    let error = table.insert_many(&[customer(3, TENANT), customer(4, "hooli")]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert_eq!(count(&pool).await, 2);

    kms.fake.clear_faults();
    // a cryptor that remembers no failure
    let third = cryptor(&kms);
    let table = SqlTable::<Customer, _>::new(&pool, &third);
    table.insert_many(&[customer(3, TENANT), customer(4, "hooli")]).await.unwrap();
    for id in 1..=4 {
        let row = table.get(id).decrypt_pii().await.unwrap();
        assert_eq!(row.phone.unwrap().expose().unwrap(), &format!("555-{id:04}"));
    }
}

#[tokio::test]
async fn a_row_under_another_tenant_does_not_open() {
    let kms = Kms::start().await;
    let pool = pool().await;
    let cryptor = cryptor(&kms);
    let table = SqlTable::<Customer, _>::new(&pool, &cryptor);
    table.insert(&customer(1, TENANT)).await.unwrap();
    sqlx::query("update customers set tenant = 'initech'").execute(&pool).await.unwrap();
    for cryptor in [cryptor.clone(), self::cryptor(&kms)] {
        let error = SqlTable::<Customer, _>::new(&pool, &cryptor).get(1).decrypt_pii().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(!format!("{error:?}").contains("initech"), "{error:?}");
    }
}

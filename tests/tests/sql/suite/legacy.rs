//! Plaintext in a sealed column, from before the column was one.

use pii::{DecryptPii, ErrorKind, SqlTable, ValueState, testing::assert_sealed_text};

use super::{
    super::{Db, in_dialect},
    TestDatabase, customers, database, sql, stored,
};
use crate::{
    models::{AcceptingCustomer, Customer, EMAIL, PreparingCustomer, SSN},
    support::cryptor,
};

const PLAIN: &str =
    "insert into customers values (1, 'acme', 'London', 'ada.canary@example.com', '900-12-canary')";

async fn with_plaintext() -> TestDatabase {
    let db = database().await;
    sql(&db, PLAIN).await;
    db
}

#[tokio::test]
async fn it_is_refused_when_loaded() {
    let (db, cryptor) = (with_plaintext().await, cryptor());
    let table = customers(&db, &cryptor);
    let query = || sqlx::query_as::<_, Customer>("select * from customers").decrypt_pii(&cryptor);
    for error in [
        table.get(1).await.unwrap_err(),
        table.get(1).decrypt_pii().await.unwrap_err(),
        table.get(1).decrypt_fields(["ssn"]).await.unwrap_err(),
        table.list().await.unwrap_err(),
        query().fetch_all(&db.pool).await.unwrap_err(),
        query().fetch_one(&db.pool).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotEncrypted);
        assert!(error.is_integrity());
        assert!(error.to_string().starts_with("customer.email: stored value is not encrypted"), "{error}");
        assert!(error.to_string().contains("row 1"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn without_the_cryptor_it_can_be_neither_read_nor_written() {
    let (db, cryptor) = (with_plaintext().await, cryptor());
    let row: Customer = sqlx::query_as("select * from customers").fetch_one(&db.pool).await.unwrap();
    assert_eq!(row.email.state(), ValueState::Legacy);
    assert_eq!(row.email.expose().unwrap_err().kind(), ErrorKind::NotEncrypted);
    let error = customers(&db, &cryptor).update(&row).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotEncrypted);
    let bound =
        sqlx::query(in_dialect("update customers set ssn = $1")).bind(&row.email).execute(&db.pool).await;
    assert!(bound.is_err());
    assert_eq!(stored(&db, 1).await, (EMAIL.to_owned(), Some(SSN.to_owned())));
}

#[tokio::test]
async fn it_is_accepted_and_sealed_when_saved() {
    let (db, cryptor) = (with_plaintext().await, cryptor());
    let table = SqlTable::<AcceptingCustomer, Db>::new(&db.pool, &cryptor);
    let row = table.get(1).await.unwrap();
    assert_eq!(row.email.expose().unwrap(), EMAIL);
    assert_eq!(stored(&db, 1).await.0, EMAIL, "reading changes nothing");
    table.update(&row).await.unwrap();
    let (email, ssn) = stored(&db, 1).await;
    assert_sealed_text(&email);
    assert_sealed_text(&ssn.unwrap());
    let strict = customers(&db, &cryptor).get(1).decrypt_pii().await.unwrap();
    assert_eq!(strict.email.expose().unwrap(), EMAIL);
}

/// SQLite would read it as an empty text.
#[tokio::test]
async fn null_is_not_accepted_as_plaintext() {
    let nullable =
        "create table customers (id bigint primary key, tenant text, city text, email text, ssn text)";
    let db = TestDatabase::new(2, &[nullable]).await;
    sql(&db, "insert into customers values (1, 'acme', 'London', null, null)").await;
    let table = SqlTable::<AcceptingCustomer, Db>::new(&db.pool, &cryptor());
    let error = table.get(1).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("email")));
    sql(&db, "update customers set email = ''").await;
    let row = table.get(1).await.unwrap();
    assert_eq!(row.email.expose().unwrap(), "");
    assert!(row.ssn.is_none());
}

#[tokio::test]
async fn while_a_table_is_prepared_both_are_read_and_plaintext_is_written() {
    let (db, cryptor) = (with_plaintext().await, cryptor());
    let table = SqlTable::<PreparingCustomer, Db>::new(&db.pool, &cryptor);
    let mut row = table.get(1).await.unwrap();
    row.email.set("changed@example.com");
    table.update(&row).await.unwrap();
    assert_eq!(stored(&db, 1).await.0, "changed@example.com");
    table.insert(&PreparingCustomer { id: 2, ..row.clone() }).await.unwrap();
    assert_eq!(stored(&db, 2).await.0, "changed@example.com");

    customers(&db, &cryptor).insert(&Customer::new(3)).await.unwrap();
    let before = stored(&db, 3).await;
    let sealed = table.get(3).decrypt_pii().await.unwrap();
    assert_eq!(sealed.email.expose().unwrap(), EMAIL);
    table.update(&sealed).await.unwrap();
    assert_eq!(stored(&db, 3).await, before, "what is sealed stays so");

    let mut ambiguous = row;
    ambiguous.email.set("ENC:looks sealed");
    let error = table.update(&ambiguous).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
}

#[tokio::test]
async fn text_that_begins_like_a_sealed_value_is_data_like_any_other() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let mut row = Customer::new(1);
    row.email.set("ENC:AgEAAAAA");
    table.insert(&row).await.unwrap();
    assert_ne!(stored(&db, 1).await.0, "ENC:AgEAAAAA");
    assert_eq!(table.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), "ENC:AgEAAAAA");
}

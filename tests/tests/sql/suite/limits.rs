//! Texts that don't fit into their columns.

use pii::{ColumnLimits, ErrorKind, SqlTable, testing::assert_sealed_text};

use super::{super::Db, TestDatabase, count, stored};
use crate::{models::Customer, support::process};

/// Room for an e-mail address of this length and for no other one.
const NARROW: &str = "create table customers (id bigint primary key, tenant varchar(100) not null, city varchar(100) not null, \
     email varchar(112) not null, ssn text)";

/// Whether the database has limits at all.
fn is_limited(limits: &ColumnLimits) -> bool {
    format!("{limits:?}").contains("Chars(112)")
}

#[tokio::test]
async fn what_the_database_would_cut_is_refused_before_a_statement_is_sent() {
    let db = TestDatabase::new(2, &[NARROW]).await;
    let limits = ColumnLimits::of::<Customer, _>(&db.pool).await.unwrap();
    let customers = SqlTable::<Customer, Db>::new(&db.pool, &process(&db.folder)).within(&limits);
    let fits = Customer::new(1);
    customers.insert(&fits).await.unwrap();
    assert_eq!(stored(&db, 1).await.0.len(), 112);
    assert_sealed_text(&stored(&db, 1).await.0);
    let mut longer = Customer::new(2);
    longer.email.set("ada.canary@example.com and more");
    if !is_limited(&limits) {
        customers.insert(&longer).await.unwrap();
        return;
    }
    db.pool.close().await;
    let many = [Customer::new(3), longer.clone()];
    for error in [
        customers.insert(&longer).await.unwrap_err(),
        customers.upsert(&longer).await.unwrap_err(),
        customers.update(&longer).await.unwrap_err(),
        customers.insert_many(&many).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("email")), "{error}");
        assert!(error.to_string().contains("room for 112"), "{error}");
        assert!(!error.to_string().contains("canary"), "{error}");
    }
    assert_eq!(customers.insert(&fits).await.unwrap_err().kind(), ErrorKind::Database, "the pool is closed");
}

#[tokio::test]
async fn columns_without_a_limit_take_everything() {
    let db = super::database().await;
    let limits = ColumnLimits::of::<Customer, _>(&db.pool).await.unwrap();
    let customers = SqlTable::<Customer, Db>::new(&db.pool, &process(&db.folder)).within(&limits);
    let mut long = Customer::new(1);
    long.email.set("a".repeat(20_000));
    customers.insert(&long).await.unwrap();
    assert!(stored(&db, 1).await.0.len() > 26_000);
}

#[tokio::test]
async fn limits_of_another_table_are_refused() {
    let db = super::database().await;
    let limits = ColumnLimits::of::<Customer, _>(&db.pool).await.unwrap();
    let others = SqlTable::<Customer, Db>::named(&db.pool, &process(&db.folder), "others").within(&limits);
    let error = others.insert(&Customer::new(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    assert!(error.to_string().contains("others"), "{error}");
    assert_eq!(count(&db).await, 0);
    let missing = ColumnLimits::of_table::<Customer, _>(&db.pool, "others").await.unwrap_err();
    assert_eq!((missing.kind(), missing.model_name()), (ErrorKind::Database, Some("customer")));
}

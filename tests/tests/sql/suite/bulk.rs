//! Many rows at once.

use pii::{ErrorKind, SqlTable, TestKeyring, ctx, testing::FailingKeyring};

use super::{
    super::{Db, PARAMETERS},
    TestDatabase, count, customers, database,
};
use crate::{
    models::{Customer, READINGS, Reading},
    support::{cryptor, process, with_keyring},
};

async fn readings_in(db: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from readings").fetch_one(&db.pool).await.unwrap()
}

#[tokio::test]
async fn thousands_of_rows_need_several_statements_and_one_key_call_each_way() {
    let db = TestDatabase::new(2, &[READINGS]).await;
    let rows: Vec<_> = (0..9_000).map(Reading::new).collect();
    assert!(rows.len() * 8 > usize::try_from(PARAMETERS).unwrap(), "one statement would do");

    let writer = process(&db.folder);
    let inserted = SqlTable::<Reading, Db>::new(&db.pool, &writer).insert_many(&rows).await.unwrap();
    assert_eq!(inserted, 9_000);
    let stats = writer.stats();
    assert_eq!((stats.keys_generated, stats.keys_unwrapped, stats.sealed), (1, 0, 13_500));

    let reader = process(&db.folder);
    let read = SqlTable::<Reading, Db>::new(&db.pool, &reader).list().decrypt_pii().await.unwrap();
    let stats = reader.stats();
    assert_eq!((stats.keys_generated, stats.keys_unwrapped, stats.opened), (0, 1, 13_500));
    assert_eq!(read.len(), 9_000);
    for (row, original) in read.iter().zip(&rows) {
        assert_eq!(row.id, original.id);
        assert_eq!(row.value, original.value);
        assert_eq!(row.remark, original.remark);
    }
}

#[tokio::test]
async fn no_rows_are_no_work() {
    let (db, cryptor) = (database().await, cryptor());
    db.pool.close().await;
    assert_eq!(customers(&db, &cryptor).insert_many(&[]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_duplicate_in_the_last_statement_leaves_nothing() {
    let db = TestDatabase::new(2, &[READINGS]).await;
    let readings = SqlTable::<Reading, Db>::new(&db.pool, &cryptor());
    let mut rows: Vec<_> = (0..9_000).map(Reading::new).collect();
    rows[8_999].id = 0;
    let error = readings.insert_many(&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(error.to_string().contains("exists already"), "{error}");
    assert_eq!(readings_in(&db).await, 0);
    rows[8_999].id = 8_999;
    readings.insert_many(&rows).await.unwrap();
    assert_eq!(readings_in(&db).await, 9_000);
}

#[tokio::test]
async fn a_transaction_goes_on_after_a_bulk_insert_that_failed() {
    let db = TestDatabase::new(2, &[READINGS]).await;
    let readings = SqlTable::<Reading, Db>::new(&db.pool, &cryptor());
    let mut rows: Vec<_> = (10..9_010).map(Reading::new).collect();
    rows[8_999].id = 10;
    let mut tx = db.pool.begin().await.unwrap();
    readings.insert(&Reading::new(1)).on(&mut tx).await.unwrap();
    assert!(readings.insert_many(&rows).on(&mut tx).await.is_err());
    readings.insert(&Reading::new(2)).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(readings_in(&db).await, 2);
}

#[tokio::test]
async fn rows_of_several_tenants_go_together() {
    let (db, cryptor) = (database().await, cryptor());
    let rows: Vec<_> =
        (0..40).map(|id| Customer::of(id, ["acme", "zeta"][usize::from(id % 2 == 0)])).collect();
    customers(&db, &cryptor).insert_many(rows.iter()).await.unwrap();
    assert_eq!(cryptor.stats().keys_generated, 2);
    let opened = customers(&db, &cryptor).list().decrypt_pii().await.unwrap();
    assert!(opened.iter().zip(&rows).all(|(opened, row)| opened.email == row.email));
}

#[tokio::test]
async fn one_row_that_cannot_be_sealed_stops_all_before_the_database_is_asked() {
    let (db, cryptor) = (database().await, cryptor());
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let rows = [Customer::new(1), Customer::of(2, "zeta")];
    // a closed pool shows that no connection was asked for
    let closed = database().await;
    closed.pool.close().await;
    let error = customers(&closed, &acme).insert_many(&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert!(customers(&db, &acme).insert_many(&rows).await.is_err());
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_key_that_is_missing_stops_all_before_the_database_is_asked() {
    let db = database().await;
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = with_keyring(keyring.clone());
    let customers = customers(&db, &cryptor);
    keyring.fail_with(ErrorKind::KeyDenied);
    // the pool's connections are taken: whoever asked for one would time out
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(db.pool.acquire().await.unwrap());
    }
    let rows = [Customer::new(1), Customer::new(2)];
    for error in [
        customers.insert_many(&rows).await.unwrap_err(),
        customers.insert(&rows[0]).await.unwrap_err(),
        customers.update(&rows[0]).await.unwrap_err(),
        customers.upsert(&rows[0]).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyDenied);
        assert_eq!(error.model_name(), Some("customer"));
    }
    drop(held);
    keyring.recover();
    // refusals are remembered for a second
    cryptor.evict_all();
    customers.insert_many(&rows).await.unwrap();
    assert_eq!(count(&db).await, 2);
}

//! Rows from iterators and streams, and jobs that commit chunk by chunk.

use std::{
    future::IntoFuture as _,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use pii::{Error, ErrorKind, Interrupted, Result, SqlTable, sqlx_error};

use super::{super::Db, TestDatabase, count, customers, database, sql};
use crate::{
    models::{Customer, READINGS, Reading},
    support::{PoolKeyring, cryptor, in_time, is_send, process, with_keyring},
};

fn rows(count: i64) -> impl Iterator<Item = Customer> {
    (0..count).map(Customer::new)
}

#[tokio::test]
async fn iterators_and_streams_of_models_and_of_results_are_sources() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    for chunk in [1, 7, 50, 500] {
        assert_eq!(is_send(table.insert_from(rows(50)).in_chunks_of(chunk).into_future()).await.unwrap(), 50);
        let changed = rows(50).map(|row| Ok(Customer { city: "Rome".into(), ..row }));
        assert_eq!(table.update_from(changed).in_chunks_of(chunk).await.unwrap(), 50);
        let upserted = stream::iter(rows(60)).then(|row| async move {
            tokio::task::yield_now().await;
            row
        });
        assert_eq!(table.upsert_from(upserted).in_chunks_of(chunk).await.unwrap(), 60);
        let results = stream::iter(rows(3)).map(Result::Ok);
        assert_eq!(table.update_from(results).in_chunks_of(chunk).committing_each_chunk().await.unwrap(), 3);
        assert_eq!(count(&db).await, 60);
        sql(&db, "delete from customers").await;
    }
}

#[tokio::test]
async fn a_table_is_copied_without_being_held_in_memory() {
    let (from, to, cryptor) = (database().await, database().await, cryptor());
    let (old, new) = (customers(&from, &cryptor), customers(&to, &cryptor));
    old.insert_from(rows(1_700)).await.unwrap();
    assert_eq!(new.insert_from(old.list().decrypt_pii().stream()).await.unwrap(), 1_700);
    let copied = new.list().decrypt_pii().await.unwrap();
    assert!(copied.iter().zip(rows(1_700)).all(|(copied, row)| copied.email == row.email));
    assert_eq!(copied.len(), 1_700);
}

#[tokio::test]
async fn thousands_of_rows_from_a_source_need_one_key_call() {
    let db = TestDatabase::new(2, &[READINGS]).await;
    let writer = process(&db.folder);
    let readings = SqlTable::<Reading, Db>::new(&db.pool, &writer);
    assert_eq!(readings.insert_from((0..5_000).map(Reading::new)).await.unwrap(), 5_000);
    assert_eq!(writer.stats().keys_generated, 1);
    let reader = process(&db.folder);
    let readings = SqlTable::<Reading, Db>::new(&db.pool, &reader);
    let read: Vec<_> = readings.list().decrypt_pii().stream().collect().await;
    assert!(read.iter().all(Result::is_ok));
    assert_eq!((read.len(), reader.stats().keys_unwrapped), (5_000, 1));
}

/// Rows until this one, then an error.
fn broken_at(at: i64) -> impl Iterator<Item = Result<Customer>> {
    (0..).map(move |id| match id {
        id if id == at => Err(Error::new(ErrorKind::Malformed).message("line 7 is no customer")),
        id => Ok(Customer::new(id)),
    })
}

#[tokio::test]
async fn an_error_of_the_source_leaves_nothing() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    for at in [0, 1, 9, 10, 25] {
        let error = in_time(table.insert_from(broken_at(at)).in_chunks_of(10)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains("line 7"), "{error}");
        assert_eq!(count(&db).await, 0);
    }
    assert_eq!(table.insert_from(broken_at(25).take(25)).in_chunks_of(10).await.unwrap(), 25);
}

#[tokio::test]
async fn a_duplicate_in_the_middle_leaves_nothing() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let doubled = || rows(50).chain(rows(24).skip(23)).chain((60..90).map(Customer::new));
    let error = table.insert_from(doubled()).in_chunks_of(10).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Duplicate);
    assert!(sqlx_error(&error).unwrap().as_database_error().unwrap().is_unique_violation(), "{error}");
    assert_eq!(count(&db).await, 0);
    // an endless source is not waited for
    let endless = doubled().chain(std::iter::repeat_with(|| Customer::new(1)));
    assert!(in_time(table.insert_from(endless).in_chunks_of(10)).await.is_err());
    assert_eq!(table.upsert_from(doubled()).in_chunks_of(10).await.unwrap(), 81);
    assert_eq!(count(&db).await, 80);
}

#[tokio::test]
async fn committed_chunks_stay_and_the_job_can_go_on() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let mut ids: Vec<i64> = (0..50).collect();
    ids[25] = 3;
    let made = |ids: &[i64]| ids.iter().copied().map(Customer::new).collect::<Vec<_>>();
    let seen = std::sync::Mutex::new(Vec::new());
    let models = made(&ids);
    let job = table.insert_many(&models).in_chunks_of(10).committing_each_chunk();
    let interrupted: Interrupted = job.on_commit(|rows| seen.lock().unwrap().push(rows)).await.unwrap_err();
    assert_eq!((interrupted.committed(), interrupted.undecided()), (20, 0));
    assert_eq!(interrupted.error().kind(), ErrorKind::Duplicate);
    assert!(interrupted.to_string().contains("after 20 committed rows"), "{interrupted}");
    assert!(sqlx_error(&Error::from(interrupted)).is_some());
    assert_eq!(count(&db).await, 20);

    ids[25] = 25;
    let models = made(&ids[20..]);
    let job = table.insert_many(&models).in_chunks_of(10).committing_each_chunk();
    assert_eq!(job.on_commit(|rows| seen.lock().unwrap().push(rows)).await.unwrap(), 30);
    assert_eq!(*seen.lock().unwrap(), [10, 20, 10, 20, 30]);
    let read = table.list().decrypt_pii().await.unwrap();
    assert_eq!(read.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
}

#[tokio::test]
async fn a_chunk_is_committed_before_the_error_of_the_source_is_told() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let job = table.insert_from(broken_at(25)).in_chunks_of(10).committing_each_chunk();
    let interrupted = in_time(job).await.unwrap_err();
    assert_eq!((interrupted.committed(), interrupted.error().kind()), (20, ErrorKind::Malformed));
    assert_eq!(count(&db).await, 20);
}

#[tokio::test]
async fn a_version_conflict_keeps_its_chunk_out_alone() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    table.insert_from(rows(30).filter(|row| row.id != 15)).await.unwrap();
    let changed = || rows(30).map(|row| Customer { city: "Rome".into(), ..row });
    let job = table.update_from(changed()).in_chunks_of(10).committing_each_chunk();
    let interrupted = job.await.unwrap_err();
    assert_eq!((interrupted.committed(), interrupted.error().kind()), (10, ErrorKind::RowNotFound));
    let in_rome: i64 = sqlx::query_scalar("select count(*) from customers where city = 'Rome'")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(in_rome, 10);
}

#[tokio::test]
async fn chunks_are_not_committed_inside_a_transaction() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let mut tx = db.pool.begin().await.unwrap();
    let job = table.insert_from(rows(30)).in_chunks_of(10).committing_each_chunk().on(&mut tx);
    let interrupted = job.await.unwrap_err();
    assert_eq!((interrupted.committed(), interrupted.error().kind()), (0, ErrorKind::State));
    tx.commit().await.unwrap();
    assert_eq!(count(&db).await, 0);
    let mut connection = db.pool.acquire().await.unwrap();
    let job = table.insert_from(rows(30)).in_chunks_of(10).committing_each_chunk().on(&mut connection);
    assert_eq!(job.await.unwrap(), 30);
    assert_eq!(count(&db).await, 30);
}

#[tokio::test]
async fn a_source_is_asked_for_two_chunks_ahead_at_most() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let made = Arc::new(AtomicI64::new(0));
    let counted = rows(200).inspect(|_| _ = made.fetch_add(1, Ordering::Relaxed));
    let job = table.insert_from(counted).in_chunks_of(10).committing_each_chunk();
    let job = job.on_commit(|committed| {
        let ahead = made.load(Ordering::Relaxed) - i64::try_from(committed).unwrap();
        assert!((0..=20).contains(&ahead), "{ahead} rows are in memory");
    });
    assert_eq!(job.await.unwrap(), 200);
}

#[tokio::test]
async fn chunks_that_are_committed_leave_a_pool_of_one_to_the_key_store() {
    let db = TestDatabase::new(1, &[crate::models::CUSTOMERS]).await;
    let cryptor = with_keyring(PoolKeyring::new(&db.pool));
    let table = customers(&db, &cryptor);
    // the second chunk needs another key, which needs the pool's connection
    let rows = || (0..40).map(|id| Customer::of(id, ["acme", "zeta"][usize::from(id >= 20)]));
    assert_eq!(
        in_time(table.insert_from(rows()).in_chunks_of(20).committing_each_chunk()).await.unwrap(),
        40
    );
    // rows that are known ahead need it before the transaction begins
    cryptor.evict_all();
    let known: Vec<_> = rows().collect();
    assert_eq!(in_time(table.update_many(&known).in_chunks_of(20)).await.unwrap(), 40);
}

#[tokio::test]
async fn a_job_that_is_given_up_leaves_nothing() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    // the source stops after three chunks, and never ends
    let stuck = stream::iter(rows(30)).chain(stream::pending());
    let job = table.insert_from(stuck).in_chunks_of(10).into_future();
    assert!(tokio::time::timeout(std::time::Duration::from_millis(300), job).await.is_err());
    let mut never_polled = table.insert_from(rows(3)).into_future();
    let _ = (&mut never_polled).now_or_never();
    drop(never_polled);
    in_time(table.insert_from((100..110).map(Customer::new))).await.unwrap();
    let left: i64 = sqlx::query_scalar("select count(*) from customers where id < 30 and id > 2")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    assert!(table.get(105).optional().await.unwrap().is_some());
}

//! Pools, connections and transactions.

use std::time::Duration;

use futures_util::TryStreamExt as _;
use pii::{CacheLimits, Cryptor, DecryptPii, ErrorKind, Mode, TestKeyring, testing::DelayingKeyring};

use super::{super::in_dialect, TestDatabase, count, customers, database, sql};
use crate::{
    models::{CUSTOMERS, Customer, CustomerBySqlx, EMAIL},
    support::{PoolKeyring, cryptor, in_time, is_send, process, with_keyring},
};

#[tokio::test]
async fn a_transaction_is_used_when_given() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let mut tx = db.pool.begin().await.unwrap();
    table.insert(&Customer::new(1)).on(&mut tx).await.unwrap();
    table.insert_many(&[Customer::new(2), Customer::new(3)]).on(&mut tx).await.unwrap();
    table.upsert(&Customer::new(4)).on(&mut tx).await.unwrap();
    table.delete(3).on(&mut tx).await.unwrap();
    let mut ada = table.get(1).on(&mut tx).decrypt_pii().await.unwrap();
    ada.email.set("changed@example.com");
    table.update(&ada).on(&mut tx).await.unwrap();
    assert_eq!(table.list().on(&mut tx).await.unwrap().len(), 3);
    assert!(table.get(9).on(&mut tx).optional().await.unwrap().is_none());
    assert!(table.get(9).optional().on(&mut tx).await.unwrap().is_none());
    let query = sqlx::query_as::<_, Customer>("select * from customers where id = 1");
    let read = query.decrypt_pii(&cryptor).fetch_one(&mut *tx).await.unwrap();
    assert_eq!(read.email.expose().unwrap(), "changed@example.com");
    assert_eq!(count(&db).await, 0, "nothing is there for others");
    tx.rollback().await.unwrap();
    assert_eq!(count(&db).await, 0);

    let mut tx = db.pool.begin().await.unwrap();
    table.insert(&Customer::new(1)).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(table.get(1).decrypt_pii().await.unwrap().email.expose().unwrap(), EMAIL);
}

#[tokio::test]
async fn any_connection_is_used_when_given() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let mut pooled = db.pool.acquire().await.unwrap();
    table.insert(&Customer::new(1)).on(&mut pooled).await.unwrap();
    let mut detached = pooled.detach();
    table.insert(&Customer::new(2)).on(&mut detached).await.unwrap();
    let rows = sqlx::query_as::<_, Customer>("select * from customers").decrypt_pii(&cryptor);
    assert_eq!(rows.fetch_all(&mut detached).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_pool_of_one_is_enough_for_a_keyring_that_needs_it() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    // every call needs a key anew
    let cryptor = || with_keyring(PoolKeyring::new(&db.pool));
    let mut ada = Customer::new(1);
    in_time(customers(&db, &cryptor()).insert(&ada)).await.unwrap();
    in_time(customers(&db, &cryptor()).insert_many(&[Customer::new(2), Customer::new(3)])).await.unwrap();
    ada.email.set("changed@example.com");
    in_time(customers(&db, &cryptor()).update(&ada)).await.unwrap();
    in_time(customers(&db, &cryptor()).upsert(&ada)).await.unwrap();
    let read = in_time(customers(&db, &cryptor()).get(1).decrypt_pii()).await.unwrap();
    assert_eq!(read.email.expose().unwrap(), "changed@example.com");
    assert_eq!(in_time(customers(&db, &cryptor()).list().decrypt_pii()).await.unwrap().len(), 3);

    let query = || sqlx::query_as::<_, Customer>("select * from customers order by id");
    let keys = cryptor();
    assert_eq!(in_time(query().decrypt_pii(&keys).fetch_all(&db.pool)).await.unwrap().len(), 3);
    let keys = cryptor();
    assert_eq!(in_time(query().decrypt_pii(&keys).fetch_one(&db.pool)).await.unwrap().id, 1);
    let keys = cryptor();
    assert!(in_time(query().decrypt_pii(&keys).fetch_optional(&db.pool)).await.unwrap().is_some());
    let keys = cryptor();
    assert_eq!(in_time(query().decrypt_pii(&keys).each_row().fetch_all(&db.pool)).await.unwrap().len(), 3);
    in_time(customers(&db, &cryptor()).delete(1)).await.unwrap();
}

/// The rows of each statement need another key; as a plain query gives them, their values are verified.
#[tokio::test]
async fn a_bulk_insert_of_rows_of_unknown_origin_asks_for_all_keys_before_it_takes_the_connection() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let rows: Vec<_> =
        (0..1_200).map(|id| Customer::of(id, ["acme", "zeta", "omega"][id as usize / 500])).collect();
    customers(&db, &cryptor()).insert_many(&rows).await.unwrap();
    let query = || sqlx::query_as::<_, Customer>("select * from customers order by id");
    let mut sealed = query().fetch_all(&db.pool).await.unwrap();
    sql(&db, "delete from customers").await;
    let keys = with_keyring(PoolKeyring::new(&db.pool));
    assert_eq!(in_time(customers(&db, &keys).insert_many(&sealed)).await.unwrap(), 1_200);
    assert_eq!(keys.stats().keys_unwrapped, 3, "nothing is asked for twice");
    let read = query().decrypt_pii(&keys).fetch_all(&db.pool).await.unwrap();
    assert!(read.iter().zip(&rows).all(|(read, row)| read.email == row.email && read.ssn == row.ssn));

    // a cryptor that seals nothing has values to verify too
    sql(&db, "delete from customers").await;
    let keys = with_keyring(PoolKeyring::new(&db.pool)).limited_to(Mode::ReadOnly);
    assert_eq!(in_time(customers(&db, &keys).insert_many(&sealed)).await.unwrap(), 1_200);

    // whatever is found out before is the same error, and nothing was written
    sql(&db, "delete from customers").await;
    sealed[1_100].tenant = "acme".into();
    let keys = with_keyring(PoolKeyring::new(&db.pool));
    let error = in_time(customers(&db, &keys).insert_many(&sealed)).await.unwrap_err();
    assert!(error.is_integrity(), "{error}");
    assert_eq!((error.model_name(), error.field_name()), (Some("customer"), Some("email")));
    assert_eq!(count(&db).await, 0);
}

#[tokio::test]
async fn a_transaction_that_holds_the_only_connection_and_a_key_store_do_not_wait_for_each_other() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let table = customers(&db, &process(&db.folder));
    let mut tx = db.pool.begin().await.unwrap();
    in_time(table.insert(&Customer::new(1)).on(&mut tx)).await.unwrap();
    in_time(table.insert_many(&[Customer::of(2, "zeta")]).on(&mut tx)).await.unwrap();
    let other = customers(&db, &process(&db.folder));
    let read = in_time(other.get(2).on(&mut tx).decrypt_pii()).await.unwrap();
    assert_eq!(read.email.expose().unwrap(), EMAIL);
    tx.commit().await.unwrap();
    // without `.on`, the statement waits for the connection that the transaction has
    let mut tx = db.pool.begin().await.unwrap();
    table.insert(&Customer::new(3)).on(&mut tx).await.unwrap();
    let error = in_time(table.get(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(error.to_string().contains("no connection became free in time"), "{error}");
    tx.rollback().await.unwrap();
}

#[tokio::test]
async fn a_stream_holds_the_only_connection_and_needs_its_keys_at_hand() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = with_keyring(PoolKeyring::new(&db.pool));
    let table = customers(&db, &cryptor);
    table.insert_many(&(0..20).map(Customer::new).collect::<Vec<_>>()).await.unwrap();
    // asks for the key while no stream is open
    table.get(1).decrypt_pii().await.unwrap();
    let rows = sqlx::query_as::<_, Customer>("select * from customers").decrypt_pii(&cryptor).fetch(&db.pool);
    assert_eq!(in_time(rows.try_collect::<Vec<_>>()).await.unwrap().len(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_can_be_spawned() {
    let db = database().await;
    let cryptor = Cryptor::envelope()
        .keyring(DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(5)))
        .cache_limits(CacheLimits { max_messages: 1_000, ..CacheLimits::default() })
        .build()
        .unwrap();
    let tasks = (0..4_i64).map(|task| {
        let (pool, cryptor, table) = (db.pool.clone(), cryptor.clone(), customers(&db, &cryptor));
        tokio::spawn(is_send(async move {
            let rows: Vec<_> = (0..10).map(|row| Customer::new(task * 100 + row)).collect();
            let mut tx = pool.begin().await.unwrap();
            table.insert_many(&rows).on(&mut tx).await.unwrap();
            table.upsert(&rows[0]).on(&mut tx).await.unwrap();
            tx.commit().await.unwrap();
            let mut row = table.get(task * 100).decrypt_pii().await.unwrap();
            row.email.set(format!("{task}@example.com"));
            table.update(&row).await.unwrap();
            table.delete(task * 100 + 9).await.unwrap();
            let query = || {
                sqlx::query_as::<_, CustomerBySqlx>(in_dialect("select * from customers where id = $1"))
                    .bind(task * 100)
            };
            let one = query().decrypt_pii(&cryptor).fetch_one(&pool).await.unwrap();
            let all = query().decrypt_pii(&cryptor).fetch_all(&pool).await.unwrap();
            let each = query().decrypt_pii(&cryptor).each_row().fetch_all(&pool).await.unwrap();
            let streamed: Vec<_> = query().decrypt_pii(&cryptor).fetch(&pool).try_collect().await.unwrap();
            assert_eq!((all.len(), each.len(), streamed.len()), (1, 1, 1));
            (one.id, one.tenant, one.town, one.email.expose().unwrap().to_owned(), one.ssn.is_some())
        }))
    });
    for (task, done) in futures_util::future::join_all(tasks).await.into_iter().enumerate() {
        let (_, tenant, town, email, has_ssn) = done.unwrap();
        assert_eq!((tenant.as_str(), town.as_str(), has_ssn), ("acme", "London", true));
        assert_eq!(email, format!("{task}@example.com"));
    }
    assert_eq!(count(&db).await, 36);
}

#[test]
fn a_runtime_of_one_thread_is_enough() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let db = database().await;
        let keyring = DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(5));
        let table = customers(&db, &with_keyring(keyring));
        let rows: Vec<_> = (0..20).map(Customer::new).collect();
        let inserts = rows.iter().map(|row| table.insert(row).into_future());
        in_time(futures_util::future::try_join_all(inserts)).await.unwrap();
        assert_eq!(table.list().decrypt_pii().await.unwrap().len(), 20);
    });
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_nothing() {
    let db = database().await;
    let keyring = DelayingKeyring::new(TestKeyring::new(), Duration::from_secs(5));
    let table = customers(&db, &with_keyring(keyring));
    let row = Customer::new(1);
    let given_up = tokio::time::timeout(Duration::from_millis(20), table.insert(&row).into_future()).await;
    assert!(given_up.is_err());
    assert_eq!(count(&db).await, 0);
}

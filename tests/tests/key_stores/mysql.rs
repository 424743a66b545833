//! Connections, transactions, permissions and locks on MariaDB and MySQL.

use std::{sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use pii::{ErrorKind, KeyStore as _, SqlKeyStore, SqlTable};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use crate::{
    mysql_table::{MysqlTable, mysql_server},
    stores::TestStore as _,
    support::{
        Customer, OTHER, TENANT, assert_tells_nothing, customer, destroyed, in_time, open, process, record,
        seal,
    },
};

const CUSTOMERS: &str =
    "create table customers (id bigint primary key, tenant text not null, email text not null)";

/// A transaction on the only connection of the pool, in which the first value is sealed, and which is
/// rolled back.
#[tokio::test]
async fn a_transaction_on_the_last_connection_neither_waits_nor_takes_the_key_along() {
    let at = MysqlTable::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let pool = at.application_pool(1);
    pool.execute(CUSTOMERS).await.unwrap();
    let cryptor = process(&key_file, Arc::new(SqlKeyStore::connect_like(&pool).unwrap()));
    let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
    let mut tx = pool.begin().await.unwrap();
    in_time(customers.insert(&customer(1, TENANT)).on(&mut tx)).await.unwrap();
    let text: String = sqlx::query_scalar("select email from customers").fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap();
    let (later, _) = seal(&process(&key_file, at.open().await), 1, TENANT).await.unwrap();
    assert_eq!(later[..28], text[..28], "the same key goes on");
    // the application's pool may be closed before the store
    pool.close().await;
    seal(&cryptor, 2, OTHER).await.unwrap();
}

/// Wherever a call of the key store is given up, its connection does not go back to the pool with a
/// transaction open, or with answers that nobody has read.
#[tokio::test]
async fn what_is_written_after_a_call_of_the_key_store_was_given_up_is_there() {
    let at = MysqlTable::new().await;
    let pool = at.application_pool(1);
    pool.execute(CUSTOMERS).await.unwrap();
    let store = SqlKeyStore::new(pool.clone());
    let mut id = 0_u16;
    for round in 0..10 {
        for polls in 0.. {
            id += 1;
            let given_up = record(id, TENANT, 0);
            let mut insert = store.insert(&given_up);
            let mut is_done = false;
            for _ in 0..polls {
                is_done = (&mut insert).now_or_never().is_some();
                if is_done {
                    break;
                }
                tokio::time::sleep(Duration::from_micros(200 * round)).await;
            }
            drop(insert);
            let row = sqlx::query("insert into customers values (?, 'acme', 'ENC:')").bind(i64::from(id));
            in_time(row.execute(&pool)).await.unwrap();
            let rows: i64 =
                sqlx::query_scalar("select count(*) from customers").fetch_one(&at.pool).await.unwrap();
            assert_eq!(rows, i64::from(id), "after {polls} polls");
            if is_done {
                break;
            }
        }
    }
}

/// The grants of the guide, as accounts of their own.
#[tokio::test]
async fn programs_need_no_more_than_the_permissions_of_the_guide() {
    let at = MysqlTable::new().await;
    let database = &at.database;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let suffix = &database[database.len() - 12..];
    let accounts = ["reader", "writer", "admin", "stranger"].map(|account| format!("{account}{suffix}"));
    let grants = ["SELECT", "SELECT, INSERT", "SELECT, UPDATE (state, copies, election)"];
    for account in &accounts {
        at.pool.execute(AssertSqlSafe(format!("create user '{account}'@'%'"))).await.unwrap();
    }
    for (account, grant) in accounts.iter().zip(grants) {
        let sql = format!("grant {grant} on {database}.pii_data_keys to '{account}'@'%'");
        at.pool.execute(AssertSqlSafe(sql)).await.unwrap();
    }
    let store_as = |account: &str| {
        let mut url = mysql_server().database(database).to_url_lossy();
        url.set_username(account).unwrap();
        url.set_password(None).unwrap();
        let options = MySqlConnectOptions::from_url(&url).unwrap();
        let pool = MySqlPoolOptions::new().max_connections(1).connect_lazy_with(options);
        Arc::new(SqlKeyStore::connect_like(&pool).unwrap())
    };
    let [reader, writer, admin, stranger] = accounts.each_ref().map(|account| store_as(account));
    for store in [&reader, &writer, &admin] {
        store.create_table().await.unwrap();
    }
    let (text, key_id) = seal(&process(&key_file, Arc::clone(&writer) as _), 1, TENANT).await.unwrap();
    open(&process(&key_file, Arc::clone(&reader) as _), 1, TENANT, &text).await.unwrap();
    let current = writer.load(key_id).await.unwrap().unwrap();
    assert_eq!(writer.insert(&current).await.unwrap(), current);
    for refused in [
        seal(&process(&key_file, Arc::clone(&reader) as _), 1, OTHER).await.unwrap_err(),
        writer.replace(&current, &destroyed(&current)).await.unwrap_err(),
        admin.elect(&record(8, OTHER, 0)).await.unwrap_err(),
        stranger.load(key_id).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::KeyDenied, "{refused}");
        assert_tells_nothing(&refused);
    }
    assert!(admin.replace(&current, &destroyed(&current)).await.unwrap());
    for store in [reader, writer, admin, stranger] {
        store.close().await;
    }
    for account in accounts {
        at.pool.execute(AssertSqlSafe(format!("drop user '{account}'@'%'"))).await.unwrap();
    }
}

/// Whoever holds a lock makes the others wait, and not for ever.
#[tokio::test]
async fn a_locked_row_is_an_error_after_a_while() {
    let at = MysqlTable::new().await;
    let pool = MySqlPoolOptions::new()
        .after_connect(|connection, _| {
            Box::pin(async { connection.execute("set innodb_lock_wait_timeout = 1").await.map(drop) })
        })
        .connect_lazy_with(at.pool.connect_options().as_ref().clone());
    let store = SqlKeyStore::new(pool);
    let kept = record(1, TENANT, 0);
    store.elect(&kept).await.unwrap();
    let mut other = MySqlConnection::connect_with(&at.pool.connect_options()).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    tx.execute("select * from pii_data_keys for update").await.unwrap();
    let error = in_time(store.replace(&kept, &destroyed(&kept))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("locked"), "{error}");
    tx.rollback().await.unwrap();
    assert!(store.replace(&kept, &destroyed(&kept)).await.unwrap());
}

/// The server ends a deadlock by rolling one of the two back, which then tries again.
#[tokio::test]
async fn a_deadlock_is_survived() {
    let at = MysqlTable::new().await;
    let store = at.open().await;
    let (first, kept) = (record(1, OTHER, 0), record(2, TENANT, 0));
    store.elect(&first).await.unwrap();
    let mut other = MySqlConnection::connect_with(&at.pool.connect_options()).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    let insert = "insert into pii_data_keys \
                  select ?, keyring, purpose, epoch, state, created, context, slot, ?, copies \
                  from pii_data_keys where key_id = ?";
    let election = format!("{}-00000000", kept.slot.digest());
    let first = first.key_id.to_string();
    // it has more to lose than the store
    for (key_id, election) in [("a", Some(&election)), ("b", None), ("c", None)] {
        sqlx::query(insert).bind(key_id).bind(election).bind(&first).execute(&mut *tx).await.unwrap();
    }
    let electing = {
        let (store, kept) = (Arc::clone(&store), kept.clone());
        tokio::spawn(async move { store.elect(&kept).await })
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    let taken = sqlx::query(insert).bind(kept.key_id.to_string()).bind(None::<String>).bind(&first);
    in_time(taken.execute(&mut *tx)).await.unwrap();
    tx.rollback().await.unwrap();
    assert_eq!(in_time(electing).await.unwrap().unwrap(), kept);
    let deadlocks: (String, String) = sqlx::query_as("show global status like 'Innodb_deadlocks'")
        .fetch_optional(&at.pool)
        .await
        .unwrap()
        .unwrap_or_default();
    assert_ne!(deadlocks.1, "0", "MariaDB counts them");
}

#[tokio::test]
async fn tables_can_be_made_by_all_processes_at_once() {
    let at = MysqlTable::new().await;
    for round in 0..5 {
        let name = format!("keys `{round}");
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (pool, name) = (at.application_pool(1), name.clone());
                tokio::spawn(async move {
                    let store = SqlKeyStore::connect_like(&pool).unwrap().table(&name).unwrap();
                    store.create_table().await.unwrap();
                    let kept = record(1, TENANT, 0);
                    assert_eq!(store.elect(&kept).await.unwrap(), kept);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    // a table with other columns is not taken for one
    at.pool.execute("create table other (key_id varchar(32) primary key)").await.unwrap();
    let store = SqlKeyStore::connect_like(&at.pool).unwrap().table("other").unwrap();
    let error = store.create_table().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
async fn a_winner_that_is_not_committed_is_none() {
    let at = MysqlTable::new().await;
    let pool = MySqlPoolOptions::new()
        .after_connect(|connection, _| {
            let setting = "set session transaction isolation level read uncommitted";
            Box::pin(async move { connection.execute(setting).await.map(drop) })
        })
        .connect_lazy_with(at.pool.connect_options().as_ref().clone());
    let store = SqlKeyStore::new(pool.clone());
    let (first, kept) = (record(1, OTHER, 0), record(2, TENANT, 0));
    store.elect(&first).await.unwrap();
    let mut tx = at.pool.begin().await.unwrap();
    sqlx::query("update pii_data_keys set created = 'never' where key_id = ?")
        .bind(first.key_id.to_string())
        .execute(&mut *tx)
        .await
        .unwrap();
    let created: String =
        sqlx::query_scalar("select created from pii_data_keys").fetch_one(&pool).await.unwrap();
    assert_eq!(created, "never", "the session itself reads it");
    assert_eq!(store.load(first.key_id).await.unwrap().as_ref(), Some(&first));
    assert_eq!(store.active(&first.slot).await.unwrap(), Some(first));
    tx.rollback().await.unwrap();
    assert_eq!(store.elect(&kept).await.unwrap(), kept);
}

/// Programs with sessions that differ elect together, and none reads from an old snapshot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elections_do_not_depend_on_the_session() {
    let at = MysqlTable::new().await;
    let sessions = [
        "set session transaction isolation level serializable",
        "set session transaction isolation level read uncommitted",
        "set sql_mode = ''",
        "set sql_mode = 'ANSI,TRADITIONAL,NO_BACKSLASH_ESCAPES'",
        "set time_zone = '+13:00'",
        "set names latin1",
    ];
    let stores: Vec<_> = sessions
        .into_iter()
        .map(|session| {
            let options: MySqlConnectOptions = at.pool.connect_options().as_ref().clone();
            let pool = MySqlPoolOptions::new()
                .max_connections(2)
                .after_connect(move |connection, _| {
                    Box::pin(async move { connection.execute(session).await.map(drop) })
                })
                .connect_lazy_with(options);
            Arc::new(SqlKeyStore::new(pool))
        })
        .collect();
    for epoch in 0..20_u16 {
        let tasks: Vec<_> = (0..)
            .zip(&stores)
            .map(|(number, store): (u16, _)| {
                let store = Arc::clone(store);
                tokio::spawn(async move {
                    let proposal = record(epoch * 100 + number, TENANT, epoch.into());
                    let winner = store.elect(&proposal).await.unwrap();
                    assert_eq!(store.active(&winner.slot).await.unwrap().as_ref(), Some(&winner));
                    winner.key_id
                })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            winners.push(in_time(task).await.unwrap());
        }
        assert!(winners.iter().all(|winner| *winner == winners[0]), "epoch {epoch}");
    }
}

#[tokio::test]
async fn the_guide_shows_the_table_as_it_is() {
    let guide = include_str!("../../../docs/sql.md");
    let pool = MySqlPoolOptions::new().connect_lazy_with(mysql_server());
    let ddl = SqlKeyStore::connect_like(&pool).unwrap().ddl();
    assert!(guide.contains(&ddl), "{ddl}");
}

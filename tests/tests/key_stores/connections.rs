//! Connections, transactions, permissions and outages.

use std::{fs, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use pii::{Error, ErrorKind, KeyStore, SqlKeyStore, SqlTable};
use sqlx::{
    AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, SqlitePool,
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use crate::{
    on_every_store,
    stores::{PostgresTable, SqliteTable, TestStore, server},
    support::{
        Customer, OTHER, TENANT, assert_tells_nothing, copy, customer, destroyed, in_time, open, process,
        record, seal,
    },
};

const CUSTOMERS: &str =
    "create table customers (id bigint primary key, tenant text not null, email text not null)";

on_every_store!(an_unusable_store_is_an_error_that_tells_what_to_do);

async fn an_unusable_store_is_an_error_that_tells_what_to_do<S: TestStore>() {
    let at = S::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let store = at.open().await;
    let working = process(&key_file, Arc::clone(&store));
    let (text, _) = seal(&working, 1, TENANT).await.unwrap();
    open(&working, 1, TENANT, &text).await.unwrap();
    at.take_away().await;
    let kept = record(1, TENANT, 0);
    let without_cache = process(&key_file, Arc::clone(&store));
    let errors: Vec<Error> = vec![
        seal(&without_cache, 2, TENANT).await.unwrap_err(),
        open(&without_cache, 1, TENANT, &text).await.unwrap_err(),
        seal(&working, 2, OTHER).await.unwrap_err(),
        store.load(kept.key_id).await.unwrap_err(),
        store.active(&kept.slot).await.unwrap_err(),
        store.elect(&kept).await.unwrap_err(),
        store.insert(&kept).await.unwrap_err(),
        store.replace(&kept, &kept).await.unwrap_err(),
        store.list(None, 10).await.unwrap_err(),
    ];
    for error in errors {
        let (kind, what_to_do) = match S::NAME {
            "files" => (ErrorKind::KeyUnavailable, "check that the folder"),
            "dynamodb" => (ErrorKind::Configuration, "create_table"),
            _ => (ErrorKind::KeyUnavailable, "create_table"),
        };
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(what_to_do), "{error}");
        assert_tells_nothing(&error);
    }
    // a key that is in the cache needs no store
    seal(&working, 3, TENANT).await.unwrap();
    open(&working, 1, TENANT, &text).await.unwrap();
}

/// A transaction on the only connection of the pool, in which the first value is sealed, and which is
/// rolled back.
#[tokio::test]
async fn a_transaction_on_the_last_connection_neither_waits_nor_takes_the_key_along_on_postgres() {
    let at = PostgresTable::new().await;
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let pool = at.application_pool(1);
    pool.execute(CUSTOMERS).await.unwrap();
    let store = Arc::new(SqlKeyStore::connect_like(&pool).unwrap());
    let cryptor = process(&key_file, store);
    let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
    let mut tx = pool.begin().await.unwrap();
    in_time(customers.insert(&customer(1, TENANT)).on(&mut tx)).await.unwrap();
    let text: String = sqlx::query_scalar("select email from customers").fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap();
    // the same key goes on
    let (later, _) = seal(&process(&key_file, at.open().await), 1, TENANT).await.unwrap();
    assert_eq!(later[..28], text[..28]);
    // the application's pool may be closed before the store
    pool.close().await;
    seal(&cryptor, 2, OTHER).await.unwrap();
}

#[tokio::test]
async fn a_transaction_on_the_last_connection_neither_waits_nor_takes_the_key_along_on_sqlite() {
    let at = SqliteTable::new().await;
    let key_file = at.folder.path().join("pii.key");
    let options =
        SqliteConnectOptions::new().filename(at.folder.path().join("shop.db")).create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(options);
    pool.execute(CUSTOMERS).await.unwrap();
    let cryptor = process(&key_file, at.open().await);
    let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
    let mut tx = pool.begin().await.unwrap();
    in_time(customers.insert(&customer(1, TENANT)).on(&mut tx)).await.unwrap();
    let text: String = sqlx::query_scalar("select email from customers").fetch_one(&mut *tx).await.unwrap();
    tx.rollback().await.unwrap();
    open(&process(&key_file, at.open().await), 1, TENANT, &text).await.unwrap();
}

/// SQLite has one writer for a file.
#[tokio::test]
async fn a_key_store_in_the_file_of_a_writing_transaction_gives_up_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    for journal in [SqliteJournalMode::Wal, SqliteJournalMode::Delete] {
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join(format!("{journal:?}.db")))
            .create_if_missing(true)
            .journal_mode(journal)
            .busy_timeout(Duration::from_millis(200));
        let pool = SqlitePool::connect_lazy_with(options);
        pool.execute(CUSTOMERS).await.unwrap();
        let store = Arc::new(SqlKeyStore::connect_like(&pool).unwrap());
        store.create_table().await.unwrap();
        let (known, _) = seal(&process(&key_file, Arc::clone(&store) as _), 1, OTHER).await.unwrap();
        let mut tx = pool.begin().await.unwrap();
        sqlx::query("insert into customers values (1, 'acme', 'ENC:')").execute(&mut *tx).await.unwrap();
        let cryptor = process(&key_file, Arc::clone(&store) as _);
        let error = in_time(seal(&cryptor, 2, TENANT)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("sqlite_file"), "{error}");
        assert_tells_nothing(&error);
        // keys that are there can be read
        in_time(open(&cryptor, 1, OTHER, &known)).await.unwrap();
        tx.commit().await.unwrap();
        let (text, _) = in_time(seal(&cryptor, 2, TENANT)).await.unwrap();
        open(&process(&key_file, store), 2, TENANT, &text).await.unwrap();
        let rows: i64 = sqlx::query_scalar("select count(*) from customers").fetch_one(&pool).await.unwrap();
        assert_eq!(rows, 1);
    }
}

#[tokio::test]
async fn a_database_in_memory_has_no_second_connection() {
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(Duration::from_secs(2))
        .connect("sqlite::memory:")
        .await
        .unwrap();
    let error = SqlKeyStore::connect_like(&pool).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("sqlite_file"), "{error}");
    let error = SqlKeyStore::sqlite_file(":memory:").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);

    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqlKeyStore::new(pool.clone()));
    store.create_table().await.unwrap();
    let cryptor = process(&folder.path().join("pii.key"), Arc::clone(&store) as _);
    let tx = pool.begin().await.unwrap();
    let error = in_time(seal(&cryptor, 1, TENANT)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("connect_like"), "{error}");
    drop(tx);
    seal(&cryptor, 1, TENANT).await.unwrap();
    store.close().await;
    let error = seal(&cryptor, 1, OTHER).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("closed"), "{error}");
}

#[tokio::test]
async fn sealed_rows_are_loaded_without_the_key_store() {
    let at = PostgresTable::new().await;
    let folder = tempfile::tempdir().unwrap();
    at.pool.execute(CUSTOMERS).await.unwrap();
    let key_file = folder.path().join("pii.key");
    let writer = process(&key_file, at.open().await);
    SqlTable::<Customer, _>::new(&at.pool, &writer).insert(&customer(1, TENANT)).await.unwrap();
    at.take_away().await;
    let reader = process(&key_file, Arc::new(SqlKeyStore::connect_like(&at.pool).unwrap()));
    let customers = SqlTable::<Customer, _>::new(&at.pool, &reader);
    let sealed = customers.get(1).await.unwrap();
    customers.update(&sealed).await.unwrap();
    let error = customers.get(1).decrypt_pii().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.is_retryable());
    assert_tells_nothing(&error);
}

/// Wherever a call of the key store is given up, its connection does not go back to the pool with a
/// transaction open: that would swallow what the application writes over it.
#[tokio::test]
async fn what_is_written_after_a_call_of_the_key_store_was_given_up_is_there() {
    let at = PostgresTable::new().await;
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
                tokio::time::sleep(Duration::from_micros(500 * round)).await;
            }
            drop(insert);
            let row = sqlx::query("insert into customers values ($1, 'acme', 'ENC:')").bind(i64::from(id));
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

/// As with passwords that are changed while the program runs.
#[tokio::test]
async fn a_change_of_the_pools_options_is_followed() {
    let at = PostgresTable::new().await;
    let good = at.pool.connect_options();
    let closed_port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let pool: PgPool = PgPoolOptions::new()
        .acquire_timeout(Duration::from_millis(500))
        .connect_lazy_with(good.as_ref().clone().host("127.0.0.1").port(closed_port));
    let store = SqlKeyStore::connect_like(&pool).unwrap();
    let kept = record(1, TENANT, 0);
    let error = store.elect(&kept).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    pool.set_connect_options(good.as_ref().clone());
    in_time(async {
        while let Err(error) = store.elect(&kept).await {
            // a slow machine may need more than the half second
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        }
    })
    .await;
    assert_eq!(at.open().await.load(kept.key_id).await.unwrap(), Some(kept));
}

/// A trigger sees what the commit will do.
#[tokio::test]
async fn commits_are_durable_whatever_the_sessions_default_is() {
    let at = PostgresTable::new().await;
    for statement in [
        "create table commits (setting text)",
        "create function note() returns trigger language plpgsql as \
         $$ begin insert into commits values (current_setting('synchronous_commit')); return null; end $$",
        "create trigger note after insert or update on pii_data_keys for each row execute function note()",
    ] {
        at.pool.execute(statement).await.unwrap();
    }
    let schema = at.place();
    for (number, (default, expected)) in
        [("off", "on"), ("local", "on"), ("on", "on"), ("remote_apply", "remote_apply")]
            .into_iter()
            .enumerate()
    {
        let settings = [
            ("search_path", schema.as_str()),
            ("synchronous_commit", default),
            ("default_transaction_isolation", "serializable"),
        ];
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(server().options(settings));
        let store = SqlKeyStore::new(pool.clone());
        let kept = record(u16::try_from(number).unwrap(), default, 0);
        store.elect(&kept).await.unwrap();
        assert!(store.replace(&kept, &destroyed(&kept)).await.unwrap());
        let seen: Vec<String> =
            sqlx::query_scalar("select setting from commits").fetch_all(&at.pool).await.unwrap();
        assert_eq!(seen, [expected, expected], "{default}");
        at.pool.execute("delete from commits").await.unwrap();
        let session: String = sqlx::query_scalar("select current_setting('synchronous_commit')")
            .fetch_one(&pool)
            .await
            .unwrap();
        assert_eq!(session, default, "the session stays as it was");
    }
    // elections under the strictest level
    let options = server()
        .options([("search_path", schema.as_str()), ("default_transaction_isolation", "serializable")]);
    let pool = PgPoolOptions::new().max_connections(8).connect_lazy_with(options);
    let store = Arc::new(SqlKeyStore::new(pool));
    let tasks: Vec<_> = (100..140)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.elect(&record(number, TENANT, 0)).await.unwrap().key_id })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        winners.push(task.await.unwrap());
    }
    assert!(winners.iter().all(|winner| *winner == winners[0]));
}

/// The grants of the guide, as roles that the pool's hook takes.
#[tokio::test]
async fn programs_need_no_more_than_the_permissions_of_the_guide() {
    let at = PostgresTable::new().await;
    let schema = at.place();
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let roles = ["reader", "writer", "admin"].map(|role| format!("{schema}_{role}"));
    let grants = ["SELECT", "SELECT, INSERT", "SELECT, UPDATE (state, copies, election)"];
    for (role, grant) in roles.iter().zip(grants) {
        let sql = format!(
            "create role {role}; grant usage on schema {schema} to {role}; grant {grant} on pii_data_keys to {role}"
        );
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&at.pool).await.unwrap();
    }
    let store_as = |role: &str| {
        let set_role = format!("set role {role}");
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .after_connect(move |connection, _| {
                let sql = AssertSqlSafe(set_role.clone());
                Box::pin(async move { connection.execute(sqlx::raw_sql(sql)).await.map(drop) })
            })
            .connect_lazy_with(server().options([("search_path", &schema)]));
        Arc::new(SqlKeyStore::connect_like(&pool).unwrap())
    };
    let [reader, writer, admin] = roles.each_ref().map(|role| store_as(role));
    for store in [&reader, &writer, &admin] {
        store.create_table().await.unwrap();
    }
    let (text, key_id) = seal(&process(&key_file, Arc::clone(&writer) as _), 1, TENANT).await.unwrap();
    open(&process(&key_file, Arc::clone(&reader) as _), 1, TENANT, &text).await.unwrap();
    let current = writer.load(key_id).await.unwrap().unwrap();
    assert_eq!(writer.insert(&current).await.unwrap(), current);
    let lost = record(7, TENANT, 0);
    assert_eq!(writer.insert(&lost).await.unwrap(), lost);
    for refused in [
        seal(&process(&key_file, Arc::clone(&reader) as _), 1, OTHER).await.unwrap_err(),
        writer.replace(&current, &destroyed(&current)).await.unwrap_err(),
        admin.elect(&record(8, OTHER, 0)).await.unwrap_err(),
    ] {
        assert_eq!(refused.kind(), ErrorKind::KeyDenied, "{refused}");
        assert!(refused.is_access());
        assert_tells_nothing(&refused);
    }
    assert!(admin.replace(&current, &destroyed(&current)).await.unwrap());
    for store in [reader, writer, admin] {
        store.close().await;
    }
    for role in roles {
        let sql = format!("drop owned by {role}; drop role {role}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&at.pool).await.unwrap();
    }
}

/// Whoever holds a lock makes the others wait, and not for ever.
#[tokio::test]
async fn a_locked_table_is_an_error_after_a_while() {
    let at = PostgresTable::new().await;
    let options = server().options([("search_path", at.place().as_str()), ("lock_timeout", "300ms")]);
    let store = SqlKeyStore::new(PgPoolOptions::new().connect_lazy_with(options));
    let mut other = PgConnection::connect_with(&at.pool.connect_options()).await.unwrap();
    let mut tx = other.begin().await.unwrap();
    tx.execute("lock table pii_data_keys in exclusive mode").await.unwrap();
    let kept = record(1, TENANT, 0);
    let error = in_time(store.elect(&kept)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    assert!(error.to_string().contains("locked"), "{error}");
    tx.rollback().await.unwrap();
    assert_eq!(store.elect(&kept).await.unwrap(), kept);
}

#[tokio::test]
async fn copies_of_a_destroyed_key_are_overwritten_in_a_sqlite_file() {
    let at = SqliteTable::new().await;
    let store = SqlKeyStore::sqlite_file(at.place()).await.unwrap();
    let mut kept = record(1, TENANT, 0);
    // on pages of its own
    kept.copies = vec![copy(&[0x5a; 20_000])];
    let traces = || {
        let bytes = fs::read(at.place()).unwrap();
        bytes.windows(40).filter(|window| *window == "Wlpa".repeat(10).as_bytes()).count()
    };
    store.elect(&kept).await.unwrap();
    assert!(traces() > 0);
    assert!(store.replace(&kept, &destroyed(&kept)).await.unwrap());
    store.close().await;
    assert_eq!(traces(), 0);
}

#[tokio::test]
async fn tables_can_be_made_by_all_processes_at_once() {
    let at = PostgresTable::new().await;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let name = format!("keys_{round}");
        let file = folder.path().join(format!("{round}.db"));
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (pool, name, file) = (at.application_pool(1), name.clone(), file.clone());
                tokio::spawn(async move {
                    let store = SqlKeyStore::connect_like(&pool).unwrap().table(&name).unwrap();
                    store.create_table().await.unwrap();
                    SqlKeyStore::sqlite_file(file).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    }
    // a table with other columns is not taken for one
    at.pool.execute("create table other (key_id text primary key)").await.unwrap();
    let store = SqlKeyStore::connect_like(&at.pool).unwrap().table("other").unwrap();
    let error = store.create_table().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
}

#[tokio::test]
async fn the_guide_shows_the_table_as_it_is() {
    let guide = include_str!("../../../docs/sql.md");
    let pool = PgPoolOptions::new().connect_lazy_with(server());
    let ddl = SqlKeyStore::connect_like(&pool).unwrap().ddl();
    assert!(guide.contains(&ddl), "{ddl}");
    let sqlite = SqlitePool::connect_lazy("sqlite:keys.db").unwrap();
    let ddl = SqlKeyStore::connect_like(&sqlite).unwrap().ddl();
    assert!(guide.contains(&ddl), "{ddl}");
}

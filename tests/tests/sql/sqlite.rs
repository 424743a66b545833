//! The suite on SQLite, in a file of its own for each test.

use std::{fs, time::Duration};

use futures_util::TryStreamExt as _;
use pii::{SqlTable, testing::assert_no_plaintext};
use sqlx::{
    AssertSqlSafe,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

use crate::{
    models::{CUSTOMERS, Customer, EMAIL, PEOPLE, Person, SSN},
    support::cryptor,
};

#[path = "doctor_on_sqlite.rs"]
mod doctor;
#[path = "suite/mod.rs"]
mod suite;

pub(crate) type Db = sqlx::Sqlite;

/// A column whose value the database makes up.
pub(crate) const GENERATED: &str = "integer primary key";
pub(crate) const UUID: &str = "blob";
/// Makes a collation in which `Ada` and `ADA` are equal, and a text in it.
pub(crate) const LOOSE_COLLATION: &str = "select 1";
pub(crate) const LOOSE_TEXT: &str = "text collate nocase";
/// The schema in which tables are.
pub(crate) const SCHEMA: &str = "main";
/// A text that is compared by its bytes, and may be a key.
pub(crate) const EXACT_TEXT: &str = "text";
/// A text that has room for every value.
pub(crate) const SEALED_TEXT: &str = "text";
/// Most placeholders in one statement.
pub(crate) const PARAMETERS: i64 = 32_766;

/// A trigger before updates of `customers` that names this column.
pub(crate) fn trigger(name: &str, column: &str) -> Vec<String> {
    vec![format!(
        "create trigger {name} before update on customers when new.{column} is null begin select raise(abort, 'no'); end"
    )]
}

/// A query of the suite with this database's placeholders.
pub(crate) fn in_dialect(sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.to_owned())
}

pub(crate) struct TestDatabase {
    pub(crate) pool: sqlx::Pool<Db>,
    pub(crate) folder: tempfile::TempDir,
}

impl TestDatabase {
    pub(crate) async fn new(connections: u32, ddl: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options)
            .await
            .unwrap();
        for statement in ddl {
            sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&pool).await.unwrap();
        }
        Self { pool, folder }
    }

    /// For a connection whose driver is chosen by its URL.
    pub(crate) fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("test.db").display())
    }

    /// The name of a table with its schema.
    pub(crate) fn qualified(&self, table: &str) -> String {
        format!("{SCHEMA}.{table}")
    }
}

#[tokio::test]
async fn no_plaintext_is_in_the_files() {
    let db = TestDatabase::new(2, &[CUSTOMERS, PEOPLE]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    let people = SqlTable::<Person, _>::new(&db.pool, &cryptor);
    for id in 0..50 {
        customers.insert(&Customer::new(id)).await.unwrap();
        people.insert(&Person::new(id)).await.unwrap();
    }
    let mut opened = customers.get(7).decrypt_pii().await.unwrap();
    opened.email.set("changed.canary@example.com");
    customers.update(&opened).await.unwrap();
    customers.upsert(&opened).await.unwrap();
    // long enough not to stand in some random base64
    let plaintexts = [EMAIL, SSN, "changed.canary", "canary", "Canary Wharf", "\"born\":1815"];
    let mut searched = 0;
    for file in fs::read_dir(db.folder.path()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert_no_plaintext(&bytes, &plaintexts);
        searched += bytes.len();
    }
    // the search finds what is there
    let wal = fs::read(db.folder.path().join("test.db-wal")).unwrap();
    assert!(wal.windows(6).any(|window| window == b"London"), "{searched} bytes searched");
    assert!(wal.windows(4).any(|window| window == b"ENC:"));
}

#[tokio::test]
async fn a_hundred_thousand_rows_go_in_and_come_out_one_chunk_at_a_time() {
    let db = TestDatabase::new(2, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    let rows = (0..100_000).map(|id| Customer { ssn: None, ..Customer::new(id) });
    assert_eq!(customers.insert_from(rows).await.unwrap(), 100_000);
    let mut opened = customers.list().decrypt_pii().stream();
    for id in 0..100_000 {
        let row = opened.try_next().await.unwrap().unwrap();
        assert_eq!((row.id, row.email.expose().unwrap()), (id, EMAIL));
    }
    assert!(opened.try_next().await.unwrap().is_none());
    assert_eq!(cryptor.stats().keys_generated, 1);
}

//! The suite on SQLite, in a file of its own for each test.

use std::{fs, time::Duration};

use futures_util::TryStreamExt as _;
use pii::{
    Adoption, DecryptPii as _, FieldPolicies, PlaintextPolicy, SqlTable, sqlx_error,
    testing::assert_no_plaintext,
};
use sqlx::{
    AssertSqlSafe,
    sqlite::{SqliteConnectOptions, SqliteError, SqliteJournalMode, SqlitePoolOptions},
};

use crate::{
    models::{CUSTOMERS, Customer, EMAIL, PEOPLE, Person, SSN},
    support::{Errors, cryptor},
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

/// Functions of JSON quote what they can't read.
#[tokio::test]
async fn errors_do_not_tell_the_message_of_a_function() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    let cryptor = cryptor();
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor);
    customers.insert(&Customer { city: "city-canary".into(), ..Customer::new(1) }).await.unwrap();
    let query = "select *, json_extract('{}', city) from customers";
    let query = sqlx::query_as::<_, Customer>(query).decrypt_pii(&cryptor);
    let error = query.fetch_all(&db.pool).await.err().unwrap();
    let database = sqlx_error(&error).unwrap().as_database_error().unwrap();
    assert_eq!(database.code().as_deref(), Some("1"));
    assert!(database.downcast_ref::<SqliteError>().to_string().contains("city-canary"));
    let errors = Errors::default();
    errors.add(&error);
    assert!(!errors.printed()[0].contains("canary"), "{:?}", errors.printed());

    let missing = sqlx::query_as::<_, Customer>("select * from nowhere").decrypt_pii(&cryptor);
    let error = missing.fetch_all(&db.pool).await.err().unwrap();
    assert!(sqlx_error(&error).unwrap().to_string().contains("no such table: nowhere"), "{error:?}");
}

/// A column of SQLite holds values of any type.
#[tokio::test]
async fn a_value_of_another_type_does_not_hold_up_a_job() {
    let db = TestDatabase::new(1, &[CUSTOMERS]).await;
    for id in 0..6 {
        let insert =
            sqlx::query("insert into customers values (?, 'acme', 'London', 'ada@old.example', null)");
        insert.bind(id).execute(&db.pool).await.unwrap();
    }
    sqlx::query("update customers set email = x'63616e617279' where id in (2, 5)")
        .execute(&db.pool)
        .await
        .unwrap();
    let policies = FieldPolicies::new();
    policies.set_model("customer", PlaintextPolicy::AcceptAndSeal);
    let customers = SqlTable::<Customer, _>::new(&db.pool, &cryptor().with_policies(&policies));
    let report = Adoption::of(&customers).chunk_rows(3).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed), (4, 2), "{report}");
    for (error, row) in report.failures.iter().zip(["2", "5"]) {
        assert_eq!((error.field_name(), error.row_id()), (Some("email"), Some(row)), "{error}");
    }
    assert_eq!(Adoption::of(&customers).verify().await.unwrap().failed, 2);
}

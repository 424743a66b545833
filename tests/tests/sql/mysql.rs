//! The suite on MariaDB or MySQL, in a database of its own for each test.

use std::{
    env, process,
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, SystemTime},
};

use sqlx::{
    AssertSqlSafe, Connection as _, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

#[path = "doctor_on_mysql.rs"]
mod doctor;
#[path = "suite/mod.rs"]
mod suite;

pub(crate) type Db = sqlx::MySql;

/// A column whose value the database makes up.
pub(crate) const GENERATED: &str = "bigint auto_increment primary key";
pub(crate) const UUID: &str = "binary(16)";
/// Makes a collation in which `Ada` and `ADA` are equal, and a text in it: here it is the usual one.
pub(crate) const LOOSE_COLLATION: &str = "select 1";
pub(crate) const LOOSE_TEXT: &str = "varchar(40)";
/// A text that is compared by its bytes, and may be a key.
pub(crate) const EXACT_TEXT: &str = "varchar(64) character set ascii collate ascii_bin";
/// A text that has room for every value.
pub(crate) const SEALED_TEXT: &str = "mediumtext";
/// Most placeholders in one statement.
pub(crate) const PARAMETERS: i64 = 65_535;

/// A query of the suite with this database's placeholders.
pub(crate) fn in_dialect(sql: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(sql.replace("$1", "?"))
}

/// A trigger before updates of `customers` that names this column.
pub(crate) fn trigger(name: &str, column: &str) -> Vec<String> {
    vec![format!(
        "create trigger {name} before update on customers for each row \
         if new.{column} is null then signal sqlstate '45000'; end if"
    )]
}

pub(crate) struct TestDatabase {
    pub(crate) pool: sqlx::Pool<Db>,
    pub(crate) folder: tempfile::TempDir,
    name: String,
}

fn server() -> MySqlConnectOptions {
    let Ok(url) = env::var("PII_TEST_MYSQL_URL") else {
        panic!(
            "PII_TEST_MYSQL_URL is not set. `cargo xtask test` starts a MariaDB and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        );
    };
    MySqlConnectOptions::from_str(&url).unwrap()
}

impl TestDatabase {
    pub(crate) async fn new(connections: u32, ddl: &[&str]) -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let name = format!("pii_test_{now}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut connection = MySqlConnection::connect_with(&server()).await.unwrap();
        // the statements of the suite quote names as the standard does
        let begin = format!(
            "create database {name} character set utf8mb4 collate utf8mb4_general_ci; use {name}; \
             set sql_mode = concat(@@sql_mode, ',ANSI_QUOTES')"
        );
        for statement in [begin.as_str()].iter().chain(ddl) {
            sqlx::raw_sql(AssertSqlSafe(*statement)).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let pool = MySqlPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(server().database(&name))
            .await
            .unwrap();
        Self { pool, folder: tempfile::tempdir().unwrap(), name }
    }

    /// The name of a table with its schema.
    pub(crate) fn qualified(&self, table: &str) -> String {
        format!("{}.{table}", self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let drop = format!("set lock_wait_timeout = 2; drop database {}", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = MySqlConnection::connect_with(&server()).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await
            })
        });
        // a test that failed may hold locks; its database stays
        let _ = dropping.join();
    }
}

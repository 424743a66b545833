//! A key store in MariaDB or MySQL, in a database of its own.

use std::{
    env, process,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use pii::{KeyId, KeyStore, SqlKeyStore};
use sqlx::{
    AssertSqlSafe, Connection as _, MySqlConnection, MySqlPool,
    mysql::{MySqlConnectOptions, MySqlPoolOptions},
};

use crate::stores::{TestStore, in_a_table};

pub(crate) struct MysqlTable {
    pub(crate) pool: MySqlPool,
    pub(crate) database: String,
}

impl MysqlTable {
    async fn run(&self, sql: &str, texts: &[&str]) {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for text in texts {
            query = query.bind((*text).to_owned());
        }
        query.execute(&self.pool).await.unwrap();
    }

    /// A pool of this many connections to the database.
    pub(crate) fn application_pool(&self, connections: u32) -> MySqlPool {
        Self::pool_at(&self.database, connections)
    }

    fn pool_at(database: &str, connections: u32) -> MySqlPool {
        MySqlPoolOptions::new()
            .max_connections(connections)
            .connect_lazy_with(mysql_server().database(database))
    }
}

pub(crate) fn mysql_server() -> MySqlConnectOptions {
    let Ok(url) = env::var("PII_TEST_MYSQL_URL") else {
        panic!(
            "PII_TEST_MYSQL_URL is not set. `cargo xtask test` starts a MariaDB and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        );
    };
    MySqlConnectOptions::from_str(&url).unwrap()
}

fn in_dialect(sql: &str) -> String {
    sql.replace("$1", "?").replace("$2", "?").replace(" AS TEXT)", " AS CHAR)").replace(" BIGINT", " SIGNED")
}

impl TestStore for MysqlTable {
    const NAME: &'static str = "mysql";

    async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let database =
            format!("pii_keys_{now}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut connection = MySqlConnection::connect_with(&mysql_server()).await.unwrap();
        // a collation in which case does not count: the table has one of its own
        let create = format!("create database {database} character set latin1 collate latin1_swedish_ci");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let store = Self { pool: Self::pool_at(&database, 2), database };
        SqlKeyStore::connect_like(&store.pool).unwrap().create_table().await.unwrap();
        store
    }

    fn place(&self) -> String {
        self.database.clone()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        let store = SqlKeyStore::connect_like(&Self::pool_at(place, 2)).unwrap();
        store.create_table().await.unwrap();
        Arc::new(store)
    }

    in_a_table!(in_dialect);
}

impl Drop for MysqlTable {
    fn drop(&mut self) {
        let drop = format!("set lock_wait_timeout = 2; drop database {}", self.database);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = MySqlConnection::connect_with(&mysql_server()).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await
            })
        });
        // a test that failed may hold locks; its database stays
        let _ = dropping.join();
    }
}

//! A Postgres schema of its own for each test.

use std::{
    env, process,
    str::FromStr as _,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, postgres::PgConnectOptions};

pub(crate) struct Schema {
    name: String,
    pub(crate) connection: PgConnection,
}

impl Schema {
    pub(crate) async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let counter = COUNTER.fetch_add(1, Ordering::Relaxed);
        let name = format!("pii_orms_{now}_{}_{counter}", process::id());
        let options = PgConnectOptions::from_str(&server()).unwrap().options([("search_path", &name)]);
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        let create = AssertSqlSafe(format!("create schema {name}"));
        sqlx::raw_sql(create).execute(&mut connection).await.unwrap();
        Self { name, connection }
    }

    /// For connections that see this schema alone.
    pub(crate) fn url(&self) -> String {
        let server = server();
        let separator = if server.contains('?') { '&' } else { '?' };
        format!("{server}{separator}options=-c%20search_path%3D{}", self.name)
    }

    /// A test that fails leaves its schema behind.
    pub(crate) async fn end(mut self) {
        let drop = AssertSqlSafe(format!("drop schema {} cascade", self.name));
        sqlx::raw_sql(drop).execute(&mut self.connection).await.unwrap();
    }
}

fn server() -> String {
    env::var("PII_TEST_POSTGRES_URL").unwrap_or_else(|_| {
        panic!(
            "PII_TEST_POSTGRES_URL is not set. `cargo xtask test` starts a Postgres and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        )
    })
}

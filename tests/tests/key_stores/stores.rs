//! The stores, and what someone with access to their storage can do.

use std::{
    env, fs,
    path::PathBuf,
    process,
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use pii::{FileKeyStore, KeyId, KeyStore, SqlKeyStore};
use serde_json::{Value, json};
use sqlx::{
    AssertSqlSafe, Connection as _, PgConnection, PgPool, SqlitePool,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::SqliteConnectOptions,
};

pub(crate) use crate::{dynamo_table::DynamoTable, mysql_table::MysqlTable};

/// An empty store, and access to its storage behind the library's back.
pub(crate) trait TestStore: Sized + Send + Sync + 'static {
    const NAME: &'static str;

    async fn new() -> Self;

    /// A handle of its own, as another process has it.
    fn open(&self) -> impl Future<Output = Arc<dyn KeyStore>> + Send {
        let place = self.place();
        async move { Self::open_at(&place).await }
    }

    /// What another process needs to find the store.
    fn place(&self) -> String;

    fn open_at(place: &str) -> impl Future<Output = Arc<dyn KeyStore>> + Send;

    /// Loses a record, and its election if `and_election`.
    async fn lose(&self, key_id: KeyId, and_election: bool);

    /// Writes another value over a member of a record; context and copies are JSON.
    async fn alter(&self, key_id: KeyId, member: &str, value: &str);

    /// The text of a member of a record.
    async fn member(&self, key_id: KeyId, member: &str) -> String;

    /// Copies a record to other key ids.
    async fn plant(&self, from: KeyId, to: &[KeyId]);

    /// Makes it impossible to use the store.
    async fn take_away(&self);
}

pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn record(&self, key_id: KeyId) -> PathBuf {
        self.folder.path().join("keys").join(format!("{key_id}.json"))
    }

    fn read(&self, key_id: KeyId) -> Value {
        serde_json::from_slice(&fs::read(self.record(key_id)).unwrap()).unwrap()
    }
}

impl TestStore for Files {
    const NAME: &'static str = "files";

    async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn place(&self) -> String {
        self.folder.path().join("keys").to_str().unwrap().to_owned()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        Arc::new(FileKeyStore::open(place).unwrap())
    }

    async fn lose(&self, key_id: KeyId, and_election: bool) {
        fs::remove_file(self.record(key_id)).unwrap();
        for entry in fs::read_dir(self.folder.path().join("keys")).unwrap() {
            let entry = entry.unwrap();
            let is_election = entry.file_name().to_str().unwrap().starts_with("slot-");
            if and_election && is_election && fs::read_to_string(entry.path()).unwrap() == key_id.to_string()
            {
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }

    async fn alter(&self, key_id: KeyId, member: &str, value: &str) {
        let mut record = self.read(key_id);
        record[member] = match member {
            "context" | "copies" | "epoch" => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            _ => json!(value),
        };
        fs::write(self.record(key_id), record.to_string()).unwrap();
    }

    async fn member(&self, key_id: KeyId, member: &str) -> String {
        match &self.read(key_id)[member] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    async fn plant(&self, from: KeyId, to: &[KeyId]) {
        let mut record = self.read(from);
        for &to in to {
            record["key_id"] = json!(to.to_string());
            fs::write(self.record(to), record.to_string()).unwrap();
        }
    }

    async fn take_away(&self) {
        let keys = self.folder.path().join("keys");
        fs::remove_dir_all(&keys).unwrap();
        fs::write(keys, "").unwrap();
    }
}

/// What databases do with the table. The function writes SQL as this one wants it.
macro_rules! in_a_table {
    ($in_dialect:expr) => {
        async fn lose(&self, key_id: KeyId, _and_election: bool) {
            let sql = $in_dialect("DELETE FROM pii_data_keys WHERE key_id = $1");
            self.run(&sql, &[&key_id.to_string()]).await;
        }

        async fn alter(&self, key_id: KeyId, member: &str, value: &str) {
            let value_of = if member == "epoch" { "CAST($1 AS BIGINT)" } else { "$1" };
            let sql = format!("UPDATE pii_data_keys SET {member} = {value_of} WHERE key_id = $2");
            self.run(&$in_dialect(&sql), &[value, &key_id.to_string()]).await;
        }

        async fn member(&self, key_id: KeyId, member: &str) -> String {
            let sql = format!("SELECT CAST({member} AS TEXT) FROM pii_data_keys WHERE key_id = $1");
            let query = sqlx::query_scalar(AssertSqlSafe($in_dialect(&sql))).bind(key_id.to_string());
            query.fetch_one(&self.pool).await.unwrap()
        }

        async fn plant(&self, from: KeyId, to: &[KeyId]) {
            let sql = "INSERT INTO pii_data_keys (key_id, keyring, purpose, epoch, state, created, context, slot, copies) \
                       SELECT $1, keyring, purpose, epoch, state, created, context, slot, copies \
                       FROM pii_data_keys WHERE key_id = $2";
            let sql = $in_dialect(sql);
            let mut tx = self.pool.begin().await.unwrap();
            for to in to {
                let query = sqlx::query(AssertSqlSafe(sql.clone())).bind(to.to_string()).bind(from.to_string());
                query.execute(&mut *tx).await.unwrap();
            }
            tx.commit().await.unwrap();
        }

        async fn take_away(&self) {
            self.run("DROP TABLE pii_data_keys", &[]).await;
        }
    };
}
pub(crate) use in_a_table;

pub(crate) struct SqliteTable {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) pool: SqlitePool,
}

impl SqliteTable {
    async fn run(&self, sql: &str, texts: &[&str]) {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for text in texts {
            query = query.bind((*text).to_owned());
        }
        query.execute(&self.pool).await.unwrap();
    }
}

impl TestStore for SqliteTable {
    const NAME: &'static str = "sqlite";

    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("keys.db"));
        let store = Self { folder, pool: SqlitePool::connect_lazy_with(options) };
        store.open().await;
        store
    }

    fn place(&self) -> String {
        self.folder.path().join("keys.db").to_str().unwrap().to_owned()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        Arc::new(SqlKeyStore::sqlite_file(place).await.unwrap())
    }

    in_a_table!(str::to_owned);
}

/// In a schema of its own.
pub(crate) struct PostgresTable {
    pub(crate) pool: PgPool,
    schema: String,
}

impl PostgresTable {
    async fn run(&self, sql: &str, texts: &[&str]) {
        let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
        for text in texts {
            query = query.bind((*text).to_owned());
        }
        query.execute(&self.pool).await.unwrap();
    }

    /// A pool of this many connections in the schema.
    pub(crate) fn application_pool(&self, connections: u32) -> PgPool {
        Self::pool_at(&self.schema, connections)
    }

    fn pool_at(schema: &str, connections: u32) -> PgPool {
        let options = server().options([("search_path", schema)]);
        PgPoolOptions::new().max_connections(connections).connect_lazy_with(options)
    }
}

pub(crate) fn server() -> PgConnectOptions {
    let Ok(url) = env::var("PII_TEST_POSTGRES_URL") else {
        panic!(
            "PII_TEST_POSTGRES_URL is not set. `cargo xtask test` starts a Postgres and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        );
    };
    PgConnectOptions::from_str(&url).unwrap()
}

impl TestStore for PostgresTable {
    const NAME: &'static str = "postgres";

    async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let schema = format!("pii_keys_{now}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let mut connection = PgConnection::connect_with(&server()).await.unwrap();
        let create = format!("create schema {schema}");
        sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        let store = Self { pool: Self::pool_at(&schema, 2), schema };
        SqlKeyStore::connect_like(&store.pool).unwrap().create_table().await.unwrap();
        store
    }

    fn place(&self) -> String {
        self.schema.clone()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        let store = SqlKeyStore::connect_like(&Self::pool_at(place, 2)).unwrap();
        store.create_table().await.unwrap();
        Arc::new(store)
    }

    in_a_table!(str::to_owned);
}

impl Drop for PostgresTable {
    fn drop(&mut self) {
        let drop = format!("set lock_timeout = '2s'; drop schema {} cascade", self.schema);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = PgConnection::connect_with(&server()).await?;
                sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut connection).await
            })
        });
        // a test that failed may hold locks; its schema stays
        let _ = dropping.join();
    }
}

impl TestStore for DynamoTable {
    const NAME: &'static str = "dynamodb";

    async fn new() -> Self {
        Self::create().await
    }

    fn place(&self) -> String {
        self.table.clone()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        Arc::new(Self::store_at(place))
    }

    async fn lose(&self, key_id: KeyId, and_election: bool) {
        if and_election {
            self.lose_elections(key_id).await;
        }
        self.lose_record(key_id).await;
    }

    /// Its member `election` is what the key has won.
    async fn alter(&self, key_id: KeyId, member: &str, value: &str) {
        match member {
            "election" => self.move_election(key_id, value).await,
            "context" | "copies" | "epoch" => {
                let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
                self.alter_member(key_id, member, value).await;
            }
            _ => self.alter_member(key_id, member, json!(value)).await,
        }
    }

    async fn member(&self, key_id: KeyId, member: &str) -> String {
        match &self.read(key_id).await[member] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    async fn plant(&self, from: KeyId, to: &[KeyId]) {
        self.copy(from, to).await;
    }

    async fn take_away(&self) {
        self.drop_table().await;
    }
}

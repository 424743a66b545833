//! Where the example works: a schema of its own, and a folder for the keys.

use std::{env, fs, path::PathBuf, str::FromStr as _, time::Duration};

use pii::{Cryptor, FileKeyStore, LocalKeyring};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use crate::Result;

pub(crate) const SCHEMA: &str = "pii_adopt";

pub(crate) struct Place {
    pub(crate) pool: PgPool,
    folder: PathBuf,
}

impl Place {
    pub(crate) async fn open() -> Result<Self> {
        let url = url().ok_or(
            "which Postgres? Give its URL as argument, set PII_TEST_POSTGRES_URL or DATABASE_URL, or start one with \
             `cargo xtask services up`",
        )?;
        let pool = PgPoolOptions::new()
            .max_connections(10)
            .acquire_timeout(Duration::from_secs(20))
            .connect_with(PgConnectOptions::from_str(&url)?.options([("search_path", SCHEMA)]))
            .await
            .map_err(|error| format!("can't connect to this Postgres: {error}"))?;
        let folder = env::temp_dir().join(SCHEMA);
        if !folder.join("pii.key").exists() {
            // what was sealed under keys that are gone is of no use
            sqlx::query("drop schema if exists pii_adopt cascade").execute(&pool).await?;
        }
        sqlx::query("create schema if not exists pii_adopt").execute(&pool).await?;
        fs::create_dir_all(&folder)?;
        println!("schema {SCHEMA}, keys in {}", folder.display());
        Ok(Self { pool, folder })
    }

    pub(crate) fn cryptor(&self) -> Result<Cryptor> {
        let keyring = LocalKeyring::open_or_create(self.folder.join("pii.key"))?;
        let key_store = FileKeyStore::open(self.folder.join("data-keys"))?;
        Ok(Cryptor::envelope().keyring(keyring).key_store(key_store).build()?)
    }

    pub(crate) async fn remove(self) -> Result<()> {
        sqlx::query("drop schema pii_adopt cascade").execute(&self.pool).await?;
        fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

/// Where the database is. The URL may hold a password, so it is not shown.
fn url() -> Option<String> {
    let given = |name| env::var(name).ok().filter(|url| !url.is_empty());
    let url = env::args().nth(1).or_else(|| given("PII_TEST_POSTGRES_URL")).or_else(|| given("DATABASE_URL"));
    url.or_else(kept_server)
}

/// The server that `cargo xtask services up` has started, and noted.
fn kept_server() -> Option<String> {
    let state = concat!(env!("CARGO_MANIFEST_DIR"), "/target/services/state.json");
    let state: serde_json::Value = serde_json::from_str(&fs::read_to_string(state).ok()?).ok()?;
    let postgres = state.get("services")?.get("postgres")?;
    if postgres.get("kept")?.as_bool() != Some(true) {
        return None;
    }
    let field = |name: &str| Some(postgres.get("fields")?.get(name)?.as_str()?.to_owned());
    Some(format!("postgres://pii:{}@127.0.0.1:{}/pii_test", field("password")?, field("port")?))
}

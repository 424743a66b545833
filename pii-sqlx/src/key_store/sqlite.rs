//! The key store on SQLite.

use std::{path::Path, time::Duration};

use pii_core::{Error, ErrorKind, Result};
use sqlx::{
    Row as _, Sqlite,
    error::DatabaseError,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};

use super::{
    OWN_CONNECTIONS, SqlKeyStore,
    database::{KeyDatabase, Trouble},
};

/// Time for many processes that start together to commit one after the other.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

impl SqlKeyStore<Sqlite> {
    /// A key store in a SQLite file of its own; file and table are made if they don't exist. It is for the
    /// processes of one host.
    ///
    /// ```no_run
    /// # async fn run() -> pii::Result<()> {
    /// let store = pii::SqlKeyStore::sqlite_file("shop-keys.db").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`KeyUnavailable`](ErrorKind::KeyUnavailable) if the file can't be used,
    /// [`Configuration`](ErrorKind::Configuration) if the path names a database in memory.
    pub async fn sqlite_file(path: impl AsRef<Path>) -> Result<Self> {
        let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let options = options.busy_timeout(BUSY_TIMEOUT);
        Sqlite::check_shareable(&options)?;
        let pool = SqlitePoolOptions::new().max_connections(OWN_CONNECTIONS).connect_lazy_with(options);
        let store = Self::new(pool);
        store.create_table().await?;
        Ok(store)
    }
}

impl KeyDatabase for Sqlite {
    const COLUMNS: &'static str = "
    key_id   TEXT NOT NULL PRIMARY KEY,
    keyring  TEXT NOT NULL,
    purpose  TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    state    TEXT NOT NULL,
    created  TEXT NOT NULL,
    context  TEXT NOT NULL,
    slot     TEXT NOT NULL,
    election TEXT UNIQUE,
    copies   TEXT NOT NULL
";

    const BEFORE_CREATE: &'static [&'static str] = &[];

    /// `EXTRA` waits for the disk in every journal mode. Copies of a key that is destroyed are overwritten.
    const BEFORE_BEGIN: &'static [&'static str] =
        &["PRAGMA synchronous = EXTRA", "PRAGMA secure_delete = ON"];

    /// Takes the place of the one writer at once: a transaction that begins by reading may not wait for it.
    const BEGIN: &'static str = "BEGIN IMMEDIATE";

    const AFTER_BEGIN: &'static [&'static str] = &[];

    const UNLESS_TAKEN: &'static str = "ON CONFLICT DO NOTHING";

    const BY_BYTES: &'static str = "COLLATE BINARY";

    const IS_KEY_ID: &'static str =
        "typeof(key_id) = 'text' AND length(key_id) = 32 AND key_id NOT GLOB '*[^0-9a-f]*'";

    fn check_shareable(options: &SqliteConnectOptions) -> Result<()> {
        let name = options.get_filename().to_string_lossy();
        // sqlx tells whether it is in memory nowhere but in its `Debug`
        let is_in_memory = name.is_empty()
            || name.contains(":memory:")
            || name.contains("mode=memory")
            || format!("{options:?}").contains("in_memory: true");
        if !is_in_memory {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration)
            .message("a key store cannot open a connection of its own to a SQLite database in memory")
            .help("use a file: `SqlKeyStore::sqlite_file`; in tests, `SqlKeyStore::new` takes a pool"))
    }

    fn text(row: &SqliteRow, index: usize) -> sqlx::Result<Option<String>> {
        row.try_get(index)
    }

    fn trouble(error: &dyn DatabaseError) -> Option<Trouble> {
        let code: i32 = error.code()?.parse().ok()?;
        // the upper bits are details
        match code & 0xff {
            1 if error.message().starts_with("no such table") => Some(Trouble::NoTable),
            5 | 6 => Some(Trouble::Locked),
            8 => Some(Trouble::ReadOnly),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::str::FromStr as _;

    use super::*;

    #[test]
    fn databases_in_memory_are_refused_however_they_are_spelled() {
        let parsed = |url| SqliteConnectOptions::from_str(url).unwrap();
        let named = |name: &str| SqliteConnectOptions::new().filename(name);
        let refused = [
            parsed("sqlite::memory:"),
            parsed("sqlite://:memory:"),
            parsed("sqlite:shop?mode=memory&cache=shared"),
            SqliteConnectOptions::new(),
            named(":memory:"),
            named(""),
            named("file::memory:?cache=shared"),
            named("file:shop?mode=memory"),
            named("shop.db").in_memory(true),
        ];
        for options in refused {
            let error = Sqlite::check_shareable(&options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{options:?}");
        }
        Sqlite::check_shareable(&parsed("sqlite:memory.db")).unwrap();
        Sqlite::check_shareable(&named("/var/lib/shop/shop.db")).unwrap();
    }
}

//! Data keys in a table: see FORMAT.md, "SQL key store".

mod database;
mod error;
#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
mod statements;
mod store;
mod table;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use pii_core::Result;
use sqlx::{Database, Pool};

pub(crate) use database::KeyDatabase;

use crate::{
    dialect::Dialect,
    statement::{quoted_name, quoted_table},
};

/// The table's name, unless another one is chosen.
const DEFAULT_TABLE: &str = "pii_data_keys";

/// Enough for a store: no call needs two at once.
const OWN_CONNECTIONS: u32 = 2;

/// A key store in a table of a SQL database, for any number of processes and hosts: one row per data
/// key. The copies in it are wrapped, so the table is no secret; losing it loses every value sealed
/// under its keys. Back it up with the rows that it belongs to.
///
/// ```no_run
/// use pii::{Cryptor, Dialect, LocalKeyring, SqlKeyStore};
/// use sqlx::Pool;
///
/// async fn cryptor<DB: Dialect>(pool: &Pool<DB>) -> pii::Result<Cryptor> {
///     let store = SqlKeyStore::connect_like(pool)?;
///     store.create_table().await?; // or `store.ddl()`, in a migration
///     Cryptor::envelope().keyring(LocalKeyring::open("pii.key")?).key_store(store).build()
/// }
/// ```
///
/// What it writes is committed in a transaction of its own before the first value is sealed under it:
/// when a transaction of the application is rolled back, the data key stays. That takes a connection of
/// its own, which [`connect_like`](Self::connect_like) opens.
///
/// # SQLite
/// A SQLite file has one writer at a time. While a transaction of the application has written to the
/// file, a key store in the same file can read, but can't keep a new key: sealing the first value under a
/// context fails inside that transaction when the busy timeout is over, with
/// [`KeyUnavailable`](pii_core::ErrorKind::KeyUnavailable), and nothing is lost. Put the key store into a
/// file of its own: [`sqlite_file`](Self::sqlite_file).
///
/// # MySQL and MariaDB
/// A commit is as durable as the server makes it: `innodb_flush_log_at_trx_commit` has to be 1, as it is by
/// default. The table has a binary collation of its own, whatever the database's is.
///
/// # Permissions
/// Programs that seal need SELECT and INSERT on the table, programs that only open need SELECT. UPDATE of
/// `state`, `copies` and `election` is for the tools that rotate, rewrap and destroy keys. Nobody needs
/// DELETE.
pub struct SqlKeyStore<DB: Database> {
    connections: Connections<DB>,
    name: String,
    /// the name, quoted
    table: Arc<str>,
}

/// Where connections come from.
enum Connections<DB: Database> {
    Given(Pool<DB>),
    /// opened when the first one is needed: a pool starts tasks, which needs a runtime
    Like {
        application: Pool<DB>,
        own: OnceLock<Pool<DB>>,
    },
}

impl<DB: Database> SqlKeyStore<DB> {
    /// Opens connections of its own, at most two, when they are needed, in the way in which this pool
    /// does: to the same database as the same user, with the pool's time limits and hooks. A change of
    /// [`Pool::set_connect_options`], such as a new password, is followed.
    ///
    /// # Errors
    /// [`Configuration`](pii_core::ErrorKind::Configuration) for a SQLite database in memory, which a
    /// second connection does not see.
    pub fn connect_like(pool: &Pool<DB>) -> Result<Self>
    where
        DB: Dialect,
    {
        DB::check_shareable(&pool.connect_options())?;
        Ok(Self::of(Connections::Like { application: pool.clone(), own: OnceLock::new() }))
    }

    /// Takes connections of this pool. It should be a small pool of its own: with the application's, a
    /// call fails with [`KeyUnavailable`](pii_core::ErrorKind::KeyUnavailable) when transactions hold all
    /// connections for longer than the pool's time limit, as the one transaction does in which a value is
    /// sealed if the pool has one connection.
    ///
    /// On SQLite the connections are left with `synchronous = EXTRA` and `secure_delete = ON`.
    #[must_use]
    pub fn new(pool: Pool<DB>) -> Self
    where
        DB: Dialect,
    {
        Self::of(Connections::Given(pool))
    }

    fn of(connections: Connections<DB>) -> Self
    where
        DB: Dialect,
    {
        let table = quoted_name::<DB>(DEFAULT_TABLE).into();
        Self { connections, name: DEFAULT_TABLE.to_owned(), table }
    }

    /// Keeps the keys in a table of this name; the default is `pii_data_keys`. A dot separates a schema
    /// from the table. The name is quoted as it is written.
    ///
    /// # Errors
    /// [`Configuration`](pii_core::ErrorKind::Configuration) if the name or a part of it is empty.
    pub fn table(self, name: &str) -> Result<Self>
    where
        DB: Dialect,
    {
        let table = quoted_table::<DB>(name)?.into();
        Ok(Self { name: name.to_owned(), table, ..self })
    }

    /// Closes the connections. Calls that come later fail with
    /// [`KeyUnavailable`](pii_core::ErrorKind::KeyUnavailable).
    pub async fn close(&self)
    where
        DB: Dialect,
    {
        self.pool().close().await;
    }

    fn pool(&self) -> &Pool<DB>
    where
        DB: Dialect,
    {
        match &self.connections {
            Connections::Given(pool) => pool,
            Connections::Like { application, own } => {
                let mut is_new = false;
                let pool = own.get_or_init(|| {
                    is_new = true;
                    let options = application.options().clone();
                    let connections = OWN_CONNECTIONS.min(options.get_max_connections());
                    let options = options.min_connections(0).max_connections(connections);
                    options.connect_lazy_with(application.connect_options().as_ref().clone())
                });
                if !is_new {
                    // passwords that expire are changed there
                    pool.set_connect_options(application.connect_options().as_ref().clone());
                }
                pool
            }
        }
    }
}

impl<DB: Database> fmt::Debug for SqlKeyStore<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlKeyStore").field("table", &self.name).finish_non_exhaustive()
    }
}

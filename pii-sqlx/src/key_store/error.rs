//! From sqlx's errors to those of a key store.

use pii_core::{Error, ErrorKind};

use super::{SqlKeyStore, database::Trouble};
use crate::{dialect::Dialect, quiet::quiet};

impl<DB: Dialect> SqlKeyStore<DB> {
    /// What an operator should know; sqlx's error stays as the source.
    pub(super) fn failed(&self, error: sqlx::Error) -> Error {
        let trouble = error.as_database_error().and_then(|error| DB::trouble(error));
        let unavailable =
            |what: &str| Error::new(ErrorKind::KeyUnavailable).message(format!("{}: {what}", self.place()));
        let told = match (&error, trouble) {
            (_, Some(Trouble::NoTable)) => unavailable("the table does not exist").help(
                "create it: `SqlKeyStore::create_table`, or the text of `SqlKeyStore::ddl` in a migration",
            ),
            (_, Some(Trouble::Denied)) => Error::new(ErrorKind::KeyDenied)
                .message(format!("{}: the database refuses the statement", self.place()))
                .help("grant SELECT to who opens values, and INSERT too to who seals"),
            (_, Some(Trouble::Locked | Trouble::Deadlock)) => {
                unavailable("the table is locked by someone else's transaction").help(
                    "end that transaction and try again; on SQLite, keep the keys in a file of their own: \
                 `SqlKeyStore::sqlite_file`",
                )
            }
            (_, Some(Trouble::ReadOnly)) => unavailable("the database can only be read")
                .help("new data keys are written: connect to the primary, with a role that may"),
            (sqlx::Error::PoolTimedOut, _) => unavailable("no connection became free in time").help(
                "give the key store connections of its own: `SqlKeyStore::connect_like`; \
                 or check that the database can be reached",
            ),
            (sqlx::Error::PoolClosed, _) => unavailable("its connections were closed")
                .help("close the key store after everything that uses it"),
            (sqlx::Error::Database(_), _) => unavailable("the database reported an error"),
            _ => unavailable("the database cannot be reached")
                .help("check that it runs, and the options of its pool"),
        };
        told.source(quiet(error))
    }

    pub(super) fn place(&self) -> String {
        format!("the key store in the table `{}`", self.name)
    }
}

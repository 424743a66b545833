//! What differs between databases for the key store: one file each.

use pii_core::Result;
use sqlx::{Connection, Database, error::DatabaseError};

/// The part of [`Dialect`](crate::Dialect) that [`SqlKeyStore`](super::SqlKeyStore) needs.
pub trait KeyDatabase: Database {
    /// The columns and constraints of the table.
    #[doc(hidden)]
    const COLUMNS: &'static str;

    /// What stands after the columns.
    #[doc(hidden)]
    const TABLE_OPTIONS: &'static str = "";

    /// The type of texts in a CAST.
    #[doc(hidden)]
    const TEXT: &'static str = "TEXT";

    /// Keeps other processes from creating the table at the same time; in the transaction.
    #[doc(hidden)]
    const BEFORE_CREATE: &'static [&'static str];

    /// Keeps the next statement from reading what was not committed.
    #[doc(hidden)]
    const BEFORE_READ: &'static [&'static str] = &[];

    /// Makes the connection ready for a durable commit.
    #[doc(hidden)]
    const BEFORE_BEGIN: &'static [&'static str];

    /// Begins a transaction that writes.
    #[doc(hidden)]
    const BEGIN: &'static str;

    /// Makes the transaction durable, and keeps it from waiting for ever.
    #[doc(hidden)]
    const AFTER_BEGIN: &'static [&'static str];

    /// What makes an INSERT do nothing where a unique value is taken. Without it that is an error.
    #[doc(hidden)]
    const UNLESS_TAKEN: &'static str;

    /// Compares the text before it by its bytes.
    #[doc(hidden)]
    const BY_BYTES: &'static str;

    /// Whether the column `key_id` holds 32 lower-case hex digits.
    #[doc(hidden)]
    const IS_KEY_ID: &'static str;

    /// Whether a second connection with these options sees what the first one does.
    #[doc(hidden)]
    fn check_shareable(options: &<Self::Connection as Connection>::Options) -> Result<()>;

    /// A column of a row that is text or NULL.
    #[doc(hidden)]
    fn text(row: &Self::Row, index: usize) -> sqlx::Result<Option<String>>;

    /// What an operator has to do something about.
    #[doc(hidden)]
    fn trouble(error: &dyn DatabaseError) -> Option<Trouble>;
}

/// Why a statement could not run.
#[doc(hidden)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    NoTable,
    Denied,
    Locked,
    /// it was rolled back for the sake of another transaction, and may run again
    Deadlock,
    ReadOnly,
}

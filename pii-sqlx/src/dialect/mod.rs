//! What differs between databases: one file each.

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::sync::Arc;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{Database, Decode, IntoArguments, Type, database::HasStatementCache, error::BoxDynError};

use crate::{connection::Source, key_store::KeyDatabase, statement::Finished};

/// A database that [`SqlTable`](crate::SqlTable) knows: SQLite with the feature `sqlite`, Postgres
/// with `postgres`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a database that tables work with",
    note = "tables work with `sqlx::Sqlite` (feature `sqlite`) and `sqlx::Postgres` (feature `postgres`)"
)]
pub trait Dialect:
    Database<Arguments: IntoArguments<Self>> + HasStatementCache + KeyDatabase + sealed::Sealed
{
    /// What stands around names, doubled inside them.
    #[doc(hidden)]
    const QUOTE: char;

    /// How many placeholders a statement may have.
    #[doc(hidden)]
    const MAX_PARAMETERS: usize;

    /// Whether sqlx forgets a transaction whose `begin` was dropped while it was on its way.
    #[doc(hidden)]
    const LEAVES_BEGIN_OPEN: bool;

    /// An expression for the text that stands in the encryption context for the value of this column,
    /// whose name is quoted. Of a value that is neither text nor integer nor UUID it is no such text.
    #[doc(hidden)]
    fn context_text(column: &str) -> String;

    /// Adds a text or NULL. Gives the text, if the driver shares it and is not to be the one who frees it.
    #[doc(hidden)]
    fn bind_text(
        arguments: &mut Self::Arguments,
        text: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, BoxDynError>;

    /// Runs a statement and says how many rows it touched.
    #[doc(hidden)]
    fn execute<'c>(
        connection: &'c mut Self::Connection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<u64>>;

    /// Runs a statement and collects its rows.
    #[doc(hidden)]
    fn fetch<'c>(
        connection: &'c mut Self::Connection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<Self::Row>>>;

    /// Runs a statement and gives its rows as they come.
    #[doc(hidden)]
    fn stream<'c>(
        source: Source<'c, Self>,
        statement: Finished<Self>,
    ) -> BoxStream<'c, sqlx::Result<Self::Row>>;

    /// The first column of a row.
    #[doc(hidden)]
    fn first_column<'r, T>(row: &'r Self::Row) -> sqlx::Result<T>
    where
        T: Decode<'r, Self> + Type<Self>;
}

mod sealed {
    pub trait Sealed {}

    #[cfg(feature = "postgres")]
    impl Sealed for sqlx::Postgres {}
    #[cfg(feature = "sqlite")]
    impl Sealed for sqlx::Sqlite {}
}

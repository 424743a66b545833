//! What differs between databases: one file each.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod returning;
#[cfg(feature = "sqlite")]
mod sqlite;
mod upsert;

use std::sync::Arc;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{Database, Decode, IntoArguments, Type, database::HasStatementCache, error::BoxDynError};

pub(crate) use returning::Returned;
pub(crate) use upsert::{Upsert, Upserted};

use crate::{
    adopt::AdoptionDatabase,
    connection::Source,
    decrypt::CHUNK,
    key_store::KeyDatabase,
    statement::{Finished, Statement},
};

/// A database that [`SqlTable`](crate::SqlTable) knows: SQLite with the feature `sqlite`, Postgres
/// with `postgres`, MySQL and MariaDB with `mysql`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a database that tables work with",
    note = "tables work with `sqlx::Sqlite` (feature `sqlite`), `sqlx::Postgres` (feature `postgres`) and \
            `sqlx::MySql` (feature `mysql`)"
)]
pub trait Dialect:
    Database<Arguments: IntoArguments<Self> + Clone, ArgumentBuffer: Send>
    + HasStatementCache
    + KeyDatabase
    + AdoptionDatabase
    + sealed::Sealed
{
    /// What stands around names, doubled inside them.
    #[doc(hidden)]
    const QUOTE: char;

    /// How many placeholders a statement may have.
    #[doc(hidden)]
    const MAX_PARAMETERS: usize;

    /// What ends a SELECT whose rows nobody else is to change until the transaction ends.
    #[doc(hidden)]
    const LOCK_ROWS: &'static str = " FOR UPDATE";

    /// How many bytes of values a statement may have before the next row goes into another one, and how they
    /// are measured.
    #[doc(hidden)]
    const MAX_BYTES: Option<Measure<Self>> = None;

    /// Whether sqlx forgets a transaction whose `begin` was dropped while it was on its way.
    #[doc(hidden)]
    const LEAVES_BEGIN_OPEN: bool;

    /// Whether sqlx does not read, or reads wrongly, what is left of the answers to a statement that was dropped
    /// while it was on its way.
    #[doc(hidden)]
    const LEAVES_ANSWERS_UNREAD: bool;

    /// How many rows of a table are opened together where they come as a stream.
    #[doc(hidden)]
    const STREAMED_ROWS: usize = CHUNK;

    /// Whether such rows are decoded when they come.
    #[doc(hidden)]
    const DECODES_AT_ONCE: bool = true;

    /// An expression for the text that stands in the encryption context for the value of this column,
    /// whose name is quoted. Of a value that is neither text nor integer nor UUID it is no such text.
    #[doc(hidden)]
    fn context_text(column: &str) -> String;

    /// What stands after such an expression in conditions that all must hold, so that no text is taken for another:
    /// the first one may use an index.
    #[doc(hidden)]
    const CONTEXT_COLLATIONS: &'static [&'static str] = &[""];

    /// How texts are compared by their bytes, where `=` may take others for equal.
    #[doc(hidden)]
    const EXACT_TEXT: Option<ExactText<Self>> = None;

    /// What stands after the table's name in the INSERT of an upsert.
    #[doc(hidden)]
    const UPSERT_ALIAS: &'static str = upsert::STORED;

    /// Appends to an INSERT what is done where the id is taken.
    #[doc(hidden)]
    fn push_upsert(statement: &mut Statement<Self>, upsert: &Upsert<'_>) {
        upsert::push_on_conflict(statement, upsert);
    }

    /// Runs an upsert of this many rows; `insert` is the same without what [`Dialect::push_upsert`] appended.
    #[doc(hidden)]
    fn upsert<'c>(
        connection: &'c mut Self::Connection,
        statement: Finished<Self>,
        _insert: Finished<Self>,
        rows: u64,
    ) -> BoxFuture<'c, sqlx::Result<Upserted>> {
        Box::pin(async move { Ok(Upserted::of(Self::execute(connection, statement).await?, rows)) })
    }

    /// How one UPDATE gives values of its own to each of many rows.
    #[doc(hidden)]
    const MANY_UPDATES: ManyUpdates<Self> = ManyUpdates::FromValues;

    /// Appends to the condition of such an UPDATE what makes sure that rows are found by this column of the id.
    #[doc(hidden)]
    fn push_found_by(_statement: &mut Statement<Self>, _id: &str) {}

    /// Appends to an INSERT that it gives these columns of its row.
    #[doc(hidden)]
    fn push_returning(statement: &mut Statement<Self>, columns: &[&str]) {
        statement.push(" RETURNING ");
        statement.push_names(columns.iter().copied());
    }

    /// Runs such an INSERT.
    #[doc(hidden)]
    fn insert_returning<'c>(
        connection: &'c mut Self::Connection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Returned<Self>>> {
        Box::pin(async move {
            let row = Self::fetch(connection, statement).await?.into_iter().next();
            Ok(row.map_or(Returned::Nothing, Returned::Row))
        })
    }

    /// Adds a text or NULL. Gives the text, if the driver shares it and is not to be the one who frees it.
    #[doc(hidden)]
    fn bind_text(
        arguments: &mut Self::Arguments,
        text: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, BoxDynError>;

    /// Adds a number.
    #[doc(hidden)]
    fn bind_number(arguments: &mut Self::Arguments, number: i64) -> Result<(), BoxDynError>;

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

/// A comparison by bytes: what stands before, between and after a column and a placeholder.
pub struct ExactText<DB: Database> {
    pub(crate) is_text: fn(&DB::TypeInfo) -> bool,
    pub(crate) around: [&'static str; 3],
}

impl<DB: Database> Clone for ExactText<DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB: Database> Copy for ExactText<DB> {}

/// How one UPDATE gives values of its own to each of many rows.
pub enum ManyUpdates<DB: Database> {
    /// It takes them `FROM` a list of `VALUES`.
    FromValues,
    /// It finds them with a `CASE` for each column.
    ByCases(Cases<DB>),
}

/// A `CASE` with the values of many rows.
pub struct Cases<DB: Database> {
    /// how many rows at most: each is compared with those before it, for each column
    pub(crate) rows: usize,
    /// what stands before and after a value of this type, so that it is of this type in a `CASE` too; `None` for
    /// types that are not known to stay what they are
    pub(crate) around: fn(&DB::TypeInfo) -> Option<[&'static str; 2]>,
}

/// A limit, and how to measure a value: it is encoded into a buffer, whose length is taken.
pub struct Measure<DB: Database> {
    pub(crate) limit: usize,
    pub(crate) buffer: fn() -> DB::ArgumentBuffer,
    pub(crate) take: fn(&mut DB::ArgumentBuffer) -> usize,
}

mod sealed {
    pub trait Sealed {}

    #[cfg(feature = "mysql")]
    impl Sealed for sqlx::MySql {}
    #[cfg(feature = "postgres")]
    impl Sealed for sqlx::Postgres {}
    #[cfg(feature = "sqlite")]
    impl Sealed for sqlx::Sqlite {}
}

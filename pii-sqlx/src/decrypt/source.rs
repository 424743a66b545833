//! Queries that give rows of one type.

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Database, Executor, FromRow, IntoArguments,
    query::{Map, Query, QueryAs, QueryScalar},
};

/// A query of sqlx that maps its rows to `Row`.
///
/// It has no lifetime parameter: with one, the futures that are built on it would not be known to be
/// `Send`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a query that gives models",
    label = "use `query_as`, `query_as!`, `QueryBuilder::build_query_as` or `query(..).try_map(..)`",
    note = "the type of the rows needs `sqlx::FromRow`: derive it, or write `#[pii(from_row)]`",
    note = "`query_scalar` gives one column, and a sealed value opens only together with its row's id and encryption \
            context: select these columns too, into a model, and name what is wanted with `.fields([...])`"
)]
pub trait RowSource: SqlxQuery + Sized + Send {
    /// The database.
    type Database: Database;

    /// The type of the rows.
    type Row: Send + Unpin + 'static;

    /// Whether the rows after one that could not be decoded still come.
    #[doc(hidden)]
    const GOES_ON: bool;

    #[doc(hidden)]
    fn stream<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, sqlx::Result<Self::Row>>
    where
        Self: 'e,
        E: Executor<'c, Database = Self::Database> + 'e;

    #[doc(hidden)]
    fn optional<'e, 'c: 'e, E>(self, executor: E) -> BoxFuture<'e, sqlx::Result<Option<Self::Row>>>
    where
        Self: 'e,
        E: Executor<'c, Database = Self::Database> + 'e;
}

impl<'q, DB, O, A> RowSource for QueryAs<'q, DB, O, A>
where
    DB: Database,
    O: for<'r> FromRow<'r, DB::Row> + Send + Unpin + 'static,
    A: IntoArguments<DB> + Send + 'q,
{
    type Database = DB;
    type Row = O;

    const GOES_ON: bool = true;

    fn stream<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, sqlx::Result<O>>
    where
        Self: 'e,
        E: Executor<'c, Database = DB> + 'e,
    {
        self.fetch(executor)
    }

    fn optional<'e, 'c: 'e, E>(self, executor: E) -> BoxFuture<'e, sqlx::Result<Option<O>>>
    where
        Self: 'e,
        E: Executor<'c, Database = DB> + 'e,
    {
        Box::pin(self.fetch_optional(executor))
    }
}

impl<'q, DB, F, O, A> RowSource for Map<'q, DB, F, A>
where
    DB: Database,
    F: FnMut(DB::Row) -> sqlx::Result<O> + Send,
    O: Send + Unpin + 'static,
    A: IntoArguments<DB> + Send + 'q,
{
    type Database = DB;
    type Row = O;

    const GOES_ON: bool = false;

    fn stream<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, sqlx::Result<O>>
    where
        Self: 'e,
        E: Executor<'c, Database = DB> + 'e,
    {
        self.fetch(executor)
    }

    fn optional<'e, 'c: 'e, E>(self, executor: E) -> BoxFuture<'e, sqlx::Result<Option<O>>>
    where
        Self: 'e,
        E: Executor<'c, Database = DB> + 'e,
    {
        Box::pin(self.fetch_optional(executor))
    }
}

/// A query of sqlx, also one that has no `.decrypt_pii()`, so that it can be told why.
pub trait SqlxQuery {}

impl<DB: Database, O, A> SqlxQuery for QueryAs<'_, DB, O, A> {}
impl<DB: Database, F, A> SqlxQuery for Map<'_, DB, F, A> {}
impl<DB: Database, O, A> SqlxQuery for QueryScalar<'_, DB, O, A> {}
impl<DB: Database, A> SqlxQuery for Query<'_, DB, A> {}

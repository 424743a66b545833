//! SQLite.

use futures_core::future::BoxFuture;
use sqlx::{Arguments as _, Decode, Row as _, Sqlite, SqliteConnection, Type, error::BoxDynError, sqlite};

use super::{Dialect, Finished};

impl Dialect for Sqlite {
    /// SQLite takes a name in double quotes that it does not know for a text: a column that is missing
    /// would be read as its own name.
    const QUOTE: char = '`';

    /// `SQLITE_MAX_VARIABLE_NUMBER` since 3.32.
    const MAX_PARAMETERS: usize = 32_766;

    const LEAVES_BEGIN_OPEN: bool = false;

    fn bind_text(arguments: &mut sqlite::SqliteArguments, text: Option<String>) -> Result<(), BoxDynError> {
        arguments.add(text)
    }

    fn execute<'c>(
        connection: &'c mut SqliteConnection,
        query: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<u64>> {
        Box::pin(async move { Ok(query.execute(connection).await?.rows_affected()) })
    }

    fn fetch<'c>(
        connection: &'c mut SqliteConnection,
        query: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<sqlite::SqliteRow>>> {
        Box::pin(query.fetch_all(connection))
    }

    fn first_column<'r, T>(row: &'r sqlite::SqliteRow) -> sqlx::Result<T>
    where
        T: Decode<'r, Self> + Type<Self>,
    {
        row.try_get(0)
    }
}

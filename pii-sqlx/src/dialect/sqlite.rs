//! SQLite.

use std::sync::Arc;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{Arguments as _, Decode, Row as _, Sqlite, SqliteConnection, Type, error::BoxDynError, sqlite};

use super::Dialect;
use crate::{connection::Source, statement::Finished};

impl Dialect for Sqlite {
    /// SQLite takes a name in double quotes that it does not know for a text: a column that is missing
    /// would be read as its own name.
    const QUOTE: char = '`';

    /// `SQLITE_MAX_VARIABLE_NUMBER` since 3.32.
    const MAX_PARAMETERS: usize = 32_766;

    /// Who has read in a transaction can't write in it any more, once someone else has written.
    const LOCK_ROWS: &'static str = "";

    const LEAVES_BEGIN_OPEN: bool = false;

    const LEAVES_ANSWERS_UNREAD: bool = false;

    /// Of sqlx's thread for SQLite 50 rows can be waiting to be taken: a batch is taken at once, and its thread has to
    /// be woken once for it.
    const STREAMED_ROWS: usize = 48;

    const DECODES_AT_ONCE: bool = false;

    /// sqlx stores a UUID as its 16 bytes.
    fn context_text(column: &str) -> String {
        let digits = |from, count| format!("substr(hex({column}), {from}, {count})");
        let uuid = [(1, 8), (9, 4), (13, 4), (17, 4), (21, 12)]
            .map(|(from, count)| digits(from, count))
            .join(" || '-' || ");
        format!("CASE typeof({column}) WHEN 'blob' THEN lower({uuid}) ELSE CAST({column} AS TEXT) END")
    }

    /// The driver's thread gets it.
    fn bind_text(
        arguments: &mut sqlite::SqliteArguments,
        text: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, BoxDynError> {
        arguments.add(text.clone()).map(|()| text)
    }

    fn bind_number(arguments: &mut sqlite::SqliteArguments, number: i64) -> Result<(), BoxDynError> {
        arguments.add(number)
    }

    fn execute<'c>(
        connection: &'c mut SqliteConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<u64>> {
        Box::pin(async move {
            let done = statement.query.execute(connection).await;
            drop(statement.shared);
            Ok(done?.rows_affected())
        })
    }

    fn fetch<'c>(
        connection: &'c mut SqliteConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<sqlite::SqliteRow>>> {
        Box::pin(async move {
            let rows = statement.query.fetch_all(connection).await;
            drop(statement.shared);
            rows
        })
    }

    fn stream<'c>(
        source: Source<'c, Self>,
        statement: Finished<Self>,
    ) -> BoxStream<'c, sqlx::Result<sqlite::SqliteRow>> {
        match source {
            Source::Given(connection) => statement.query.fetch(connection),
            Source::Pool(pool) => statement.query.fetch(pool),
        }
    }

    fn first_column<'r, T>(row: &'r sqlite::SqliteRow) -> sqlx::Result<T>
    where
        T: Decode<'r, Self> + Type<Self>,
    {
        row.try_get(0)
    }
}

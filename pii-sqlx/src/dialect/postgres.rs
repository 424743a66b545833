//! Postgres.

use std::sync::Arc;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{Arguments as _, Decode, PgConnection, Postgres, Row as _, Type, error::BoxDynError, postgres};

use super::Dialect;
use crate::{
    connection::Source,
    statement::{Finished, Statement},
};

impl Dialect for Postgres {
    const QUOTE: char = '"';

    /// The wire protocol counts them in 16 bits.
    const MAX_PARAMETERS: usize = 65_535;

    /// So does sqlx 0.9.0: <https://github.com/transact-rs/sqlx/issues/4393>.
    const LEAVES_BEGIN_OPEN: bool = true;

    const LEAVES_ANSWERS_UNREAD: bool = false;

    /// A column may have a collation in which texts are equal that differ.
    const CONTEXT_COLLATIONS: &'static [&'static str] = &["", " COLLATE \"C\""];

    fn context_text(column: &str) -> String {
        format!("CAST({column} AS text)")
    }

    /// Without it the planner chooses by what it believes of the table's size. After a table was filled it may
    /// believe that the table is empty, and read all of it for each chunk.
    fn push_found_by(statement: &mut Statement<Self>, id: &str) {
        statement.push(" AND pii_stored.");
        statement.push_name(id);
        statement.push(" = ANY(ARRAY(SELECT ");
        statement.push_name(id);
        statement.push(" FROM pii_new))");
    }

    /// The driver copies it.
    fn bind_text(
        arguments: &mut postgres::PgArguments,
        text: Option<Arc<str>>,
    ) -> Result<Option<Arc<str>>, BoxDynError> {
        arguments.add(text.as_deref()).map(|()| None)
    }

    fn bind_number(arguments: &mut postgres::PgArguments, number: i64) -> Result<(), BoxDynError> {
        arguments.add(number)
    }

    fn execute<'c>(
        connection: &'c mut PgConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<u64>> {
        Box::pin(async move {
            let Finished { query, shared } = statement;
            let done = query.execute(connection).await;
            drop(shared);
            Ok(done?.rows_affected())
        })
    }

    fn fetch<'c>(
        connection: &'c mut PgConnection,
        statement: Finished<Self>,
    ) -> BoxFuture<'c, sqlx::Result<Vec<postgres::PgRow>>> {
        Box::pin(async move {
            let Finished { query, shared } = statement;
            let rows = query.fetch_all(connection).await;
            drop(shared);
            rows
        })
    }

    fn stream<'c>(
        source: Source<'c, Self>,
        statement: Finished<Self>,
    ) -> BoxStream<'c, sqlx::Result<postgres::PgRow>> {
        match source {
            Source::Given(connection) => statement.query.fetch(connection),
            Source::Pool(pool) => statement.query.fetch(pool),
        }
    }

    fn first_column<'r, T>(row: &'r postgres::PgRow) -> sqlx::Result<T>
    where
        T: Decode<'r, Self> + Type<Self>,
    {
        row.try_get(0)
    }
}

//! Many new rows, all of them or none.

use std::{future::IntoFuture, slice::Chunks};

use futures_core::future::BoxFuture;
use futures_util::future::join;
use pii_core::Result;
use sqlx::Database;

use super::{SqlTable, failed, rows::NewRow};
use crate::{dialect::Dialect, error, model::SqlModel, statement::Statement};

/// An INSERT of many rows; made by [`SqlTable::insert_many`].
#[must_use = "nothing is inserted before this is awaited"]
pub struct InsertMany<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    models: Vec<&'a M>,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> InsertMany<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, models: Vec<&'a M>) -> Self {
        Self { table, models, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

/// So many rows are sealed at a time: enough to make a round trip worth while, and little enough that
/// the next ones are sealed while these are on their way.
const ROWS_PER_CHUNK: usize = 500;

impl<M: SqlModel<DB> + Sync, DB: Dialect> InsertMany<'_, M, DB> {
    async fn run(self) -> Result<u64> {
        let Self { table, models, connection } = self;
        table.name()?;
        let mut chunks = models.chunks(ROWS_PER_CHUNK.min(SqlTable::<M, DB>::rows_per_statement()));
        let Some(first) = chunks.next() else { return Ok(0) };
        // whatever keys the whole call needs are asked for before a connection is taken
        table.cryptor.prepare(models.iter().copied()).await.map_err(error::of::<M>)?;
        let mut statements = table.seal_chunk(first).await?;
        if chunks.len() == 0
            && statements.len() == 1
            && let Some(statement) = statements.pop()
        {
            let mut connection = table.connection(connection).await?;
            return connection.execute(statement).await.map_err(failed::<M>);
        }
        let mut connection = table.connection(connection).await?;
        let mut tx = connection.begin().await.map_err(failed::<M>)?;
        let inserted = match table.insert_chunks(&mut tx, statements, chunks).await {
            Ok(inserted) => tx.commit().await.map_err(failed::<M>).map(|()| inserted),
            Err(error) => {
                // the first error is the one to tell; a connection that is lost rolls back anyway
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        inserted
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Seals the next chunk while one is in flight.
    async fn insert_chunks(
        &self,
        connection: &mut DB::Connection,
        first: Vec<Statement<DB>>,
        chunks: Chunks<'_, &M>,
    ) -> Result<u64> {
        let (mut inserted, mut sealed) = (0, first);
        for chunk in chunks {
            // the sending is polled first: the database works while the values are sealed. Neither is given up
            // when the other fails: the connection is to roll back
            let (sent, next) = join(self.send(connection, sealed), self.seal_chunk(chunk)).await;
            inserted += sent?;
            sealed = next?;
        }
        Ok(inserted + self.send(connection, sealed).await?)
    }

    /// The statements for one chunk: one, or more where neighbours omit different columns or rows are large.
    /// The order of the rows stays, because ids are made up in it.
    async fn seal_chunk(&self, models: &[&M]) -> Result<Vec<Statement<DB>>> {
        let mut rows = self.seal(models.to_vec()).await?;
        let mut statements = Vec::with_capacity(1);
        for mut alike in rows.chunk_by_mut(NewRow::is_like) {
            while !alike.is_empty() {
                let (statement, taken) = self.insert_some("", alike)?;
                // whole chunks have the same text and are prepared once; others hardly come again
                let is_whole = taken == ROWS_PER_CHUNK;
                statements.push(if is_whole { statement } else { statement.once() });
                alike = alike.get_mut(taken..).unwrap_or_default();
            }
        }
        Ok(statements)
    }

    async fn send(&self, connection: &mut DB::Connection, statements: Vec<Statement<DB>>) -> Result<u64> {
        let mut inserted = 0;
        for statement in statements {
            inserted += DB::execute(connection, statement.finish()).await.map_err(failed::<M>)?;
        }
        Ok(inserted)
    }
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for InsertMany<'a, M, DB> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

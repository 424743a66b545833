//! Many rows, in chunks.

mod cases;
mod chunk;
mod commits;
mod methods;
mod send;
mod source;
mod update;

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::Result;
use sqlx::Database;

pub use commits::{CommitEachChunk, Interrupted};
use send::overlapped;
use source::Rows;
pub use source::{BulkRow, BulkSource, Iterated, Streamed};

use super::{SqlTable, failed};
use crate::{connection::Connection, dialect::Dialect, error, model::SqlModel};

/// So many rows are sealed and sent at a time, unless told otherwise: enough to make a round trip worth
/// while, and little enough that the next ones are sealed while these are on their way.
///
/// They go as `VALUES` with a placeholder for each value. On Postgres 15 an array per column (`UNNEST`) was
/// measured beside it, 100,000 rows of an id, a tenant and three texts of the length of sealed ones, both
/// prepared: 0.9 times the time at 500 rows per statement in a temporary table, about 0.95 times in one with a
/// log. That is not worth an array type for every plain column.
const ROWS_PER_CHUNK: usize = 500;

/// What is done with the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Upsert,
    Update,
}

/// An INSERT or UPDATE of many rows; made by [`SqlTable::insert_many`], [`SqlTable::upsert_many`],
/// [`SqlTable::update_many`], [`SqlTable::insert_from`], [`SqlTable::upsert_from`] and
/// [`SqlTable::update_from`].
///
/// All rows are written or none, in a transaction of its own or in a savepoint of the one given with
/// [`on`](Self::on), and it says how many.
#[must_use = "nothing is written before this is awaited"]
pub struct WriteMany<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    verb: Verb,
    rows: Rows<'a, M>,
    chunk: usize,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> WriteMany<'a, M, DB> {
    fn new(table: &'a SqlTable<M, DB>, verb: Verb, rows: Rows<'a, M>) -> Self {
        Self { table, verb, rows, chunk: ROWS_PER_CHUNK, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// How many rows are sealed and sent together at most; 500 by default, and never more than the placeholders
    /// of one statement allow. A job with a stream holds two such chunks in memory.
    pub fn in_chunks_of(mut self, rows: usize) -> Self {
        self.chunk = rows;
        self
    }

    /// Commits each chunk by itself. What was committed stays if a later chunk fails: the error,
    /// [`Interrupted`], says how many rows that are.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>, rows: Vec<Customer>) -> pii::Result<()> {
    /// let mut done = 0;
    /// loop {
    ///     let job = customers.upsert_many(rows.iter().skip(done)).in_chunks_of(1000).committing_each_chunk();
    ///     match job.on_commit(|rows| println!("{rows} more rows are there")).await {
    ///         Ok(_) => break,
    ///         Err(interrupted) if interrupted.error().is_retryable() => {
    ///             done += usize::try_from(interrupted.committed()).unwrap_or(usize::MAX);
    ///         }
    ///         Err(interrupted) => return Err(interrupted.into()),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn committing_each_chunk(self) -> CommitEachChunk<'a, M, DB> {
        CommitEachChunk::new(self)
    }

    /// How many rows make a chunk.
    fn rows_per_chunk(&self) -> usize {
        self.chunk.clamp(1, SqlTable::<M, DB>::rows_per_statement())
    }
}

impl<M: SqlModel<DB> + Send + Sync, DB: Dialect> WriteMany<'_, M, DB> {
    async fn run(self) -> Result<u64> {
        let count = self.rows_per_chunk();
        let Self { table, verb, mut rows, connection, .. } = self;
        table.name()?;
        if rows.known().len() > count {
            // whatever keys the whole call needs are asked for before a connection is taken
            table.cryptor.prepare(rows.known().iter().copied()).await.map_err(error::of::<M>)?;
        }
        let Some(first) = table.next_chunk(verb, &mut rows, count).await? else { return Ok(0) };
        if rows.is_over() && table.is_one_step(verb, &first)? {
            let mut connection = table.connection(connection).await?;
            return table.send_chunk(verb, &mut connection, first).await;
        }
        let mut connection = table.connection(connection).await?;
        let mut tx = connection.begin().await.map_err(failed::<M>)?;
        let mut written = 0;
        let mut sealed = Some(first);
        let outcome = async {
            let mut within = Connection::given(&mut *tx);
            while let Some(chunk) = sealed.take() {
                let sending = table.send_chunk(verb, &mut within, chunk);
                let (sent, next) = overlapped(sending, table.next_chunk(verb, &mut rows, count)).await?;
                written += sent;
                sealed = next?;
            }
            Ok(written)
        }
        .await;
        let outcome = match outcome {
            Ok(written) => tx.commit().await.map_err(failed::<M>).map(|()| written),
            Err(error) => {
                // the first error is the one to tell; a connection that is lost rolls back anyway
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        outcome
    }
}

impl<'a, M: SqlModel<DB> + Send + Sync, DB: Dialect> IntoFuture for WriteMany<'a, M, DB> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! Chunks that are committed one by one.

use std::{fmt, future::IntoFuture};

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result};
use sqlx::{Connection as _, Database};

use super::{Verb, WriteMany, chunk::Chunk, send::overlapped};
use crate::{
    connection::Connection,
    dialect::Dialect,
    error,
    model::SqlModel,
    table::{SqlTable, failed},
};

/// A bulk job that commits each chunk by itself; made by [`WriteMany::committing_each_chunk`].
///
/// Without a connection of yours it takes one of the pool for each chunk, and gives it back in between.
#[must_use = "nothing is written before this is awaited"]
pub struct CommitEachChunk<'a, M, DB: Database> {
    job: WriteMany<'a, M, DB>,
    on_commit: Option<Box<dyn FnMut(u64) + Send + 'a>>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> CommitEachChunk<'a, M, DB> {
    pub(super) fn new(job: WriteMany<'a, M, DB>) -> Self {
        Self { job, on_commit: None }
    }

    /// Is called after each commit with the number of rows of this job that are committed by then.
    pub fn on_commit(mut self, progress: impl FnMut(u64) + Send + 'a) -> Self {
        self.on_commit = Some(Box::new(progress));
        self
    }

    /// Runs on this connection, which must not be in a transaction.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.job = self.job.on(connection);
        self
    }

    /// As [`WriteMany::in_chunks_of`].
    pub fn in_chunks_of(mut self, rows: usize) -> Self {
        self.job = self.job.in_chunks_of(rows);
        self
    }
}

impl<M: SqlModel<DB> + Send + Sync, DB: Dialect> CommitEachChunk<'_, M, DB> {
    async fn run(self) -> Result<u64, Interrupted> {
        let mut progress = Progress::default();
        match self.write(&mut progress).await {
            Ok(()) => Ok(progress.committed),
            Err(error) => Err(Interrupted { progress, error }),
        }
    }

    async fn write(self, progress: &mut Progress) -> Result<()> {
        let Self { job, mut on_commit } = self;
        let count = job.rows_per_chunk();
        let WriteMany { table, verb, mut rows, mut connection, .. } = job;
        table.name()?;
        if connection.as_deref().is_some_and(|connection| connection.is_in_transaction()) {
            return Err(Error::new(ErrorKind::State)
                .model(M::MODEL.name())
                .message("chunks cannot be committed one by one inside a transaction")
                .help("leave out `.committing_each_chunk()`, or give a connection without a transaction"));
        }
        if rows.known().len() > count {
            table.cryptor.prepare(rows.known().iter().copied()).await.map_err(error::of::<M>)?;
        }
        let mut sealed = table.next_chunk(verb, &mut rows, count).await?;
        while let Some(chunk) = sealed.take() {
            let sending = table.commit_chunk(verb, connection.as_deref_mut(), chunk, progress);
            let ((), next) = overlapped(sending, table.next_chunk(verb, &mut rows, count)).await?;
            if let Some(on_commit) = &mut on_commit {
                on_commit(progress.committed);
            }
            sealed = next?;
        }
        Ok(())
    }
}

impl<M: SqlModel<DB> + Send + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Writes a chunk in a transaction of its own.
    async fn commit_chunk(
        &self,
        verb: Verb,
        connection: Option<&mut DB::Connection>,
        chunk: Chunk<'_, M, DB>,
        progress: &mut Progress,
    ) -> Result<()> {
        let rows = u64::try_from(chunk.rows.len()).unwrap_or(u64::MAX);
        let mut connection = self.connection(connection).await?;
        let mut tx = connection.begin().await.map_err(failed::<M>)?;
        let sent = self.send_chunk(verb, &mut Connection::given(&mut *tx), chunk).await;
        if let Err(error) = sent {
            // the first error is the one to tell; a connection that is lost rolls back anyway
            let _ = tx.rollback().await;
            connection.finished();
            return Err(error);
        }
        progress.undecided = rows;
        tx.commit().await.map_err(failed::<M>)?;
        connection.finished();
        progress.undecided = 0;
        progress.committed += rows;
        Ok(())
    }
}

impl<'a, M: SqlModel<DB> + Send + Sync, DB: Dialect> IntoFuture for CommitEachChunk<'a, M, DB> {
    type Output = Result<u64, Interrupted>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// How far a job got, in rows.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    committed: u64,
    undecided: u64,
}

/// The error of a bulk job that commits each chunk by itself, with how far it got.
///
/// `?` makes a [`pii_core::Error`] of it.
#[derive(Debug)]
pub struct Interrupted {
    progress: Progress,
    error: Error,
}

impl Interrupted {
    /// How many rows, from the first one on, are certainly committed: those that a job which goes on
    /// leaves out.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.progress.committed
    }

    /// How many rows after those may be committed as well, all of them or none: the connection was lost while
    /// they were being committed. Look whether one of them is there, or go on with an upsert. Otherwise 0.
    #[must_use]
    pub fn undecided(&self) -> u64 {
        self.progress.undecided
    }

    /// What went wrong.
    #[must_use]
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (after {} committed rows", self.error, self.progress.committed)?;
        if self.progress.undecided > 0 {
            write!(f, "; whether the next {} are committed is not known", self.progress.undecided)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Interrupted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl From<Interrupted> for Error {
    fn from(interrupted: Interrupted) -> Self {
        interrupted.error
    }
}

//! Sealed chunks on their way to the database.

use futures_util::future::{Either, select};
use pii_core::{Error, ErrorKind, Result};
use std::{future::Future, pin::pin};

use super::{
    Verb,
    chunk::{Chunk, Step},
    source::{Row, Rows},
};
use crate::{
    connection::Connection,
    dialect::{Dialect, Upserted},
    model::SqlModel,
    statement::Statement,
    table::{SqlTable, failed, update::version_of},
};

/// Sends while the next chunk is sealed. The sending is polled first: the database works meanwhile.
///
/// What is on its way is waited for, also if the sealing fails; an error of the database is told at once.
pub(super) async fn overlapped<T, U>(
    sending: impl Future<Output = Result<T>>,
    sealing: impl Future<Output = Result<U>>,
) -> Result<(T, Result<U>)> {
    match select(pin!(sending), pin!(sealing)).await {
        Either::Left((sent, sealing)) => Ok((sent?, sealing.await)),
        Either::Right((sealed, sending)) => Ok((sending.await?, sealed)),
    }
}

impl<M: SqlModel<DB> + Send + Sync, DB: Dialect> SqlTable<M, DB> {
    /// The next rows, sealed; `None` at the end.
    pub(super) async fn next_chunk<'a>(
        &self,
        verb: Verb,
        rows: &mut Rows<'a, M>,
        count: usize,
    ) -> Result<Option<Chunk<'a, M, DB>>> {
        match rows.next(count).await? {
            chunk if chunk.is_empty() => Ok(None),
            chunk => self.seal_chunk(verb, chunk, count).await.map(Some),
        }
    }

    /// Whether the chunk is written whole or not at all without a transaction too.
    pub(super) fn is_one_step(&self, verb: Verb, chunk: &Chunk<'_, M, DB>) -> Result<bool> {
        let leaves_none_out = match verb {
            Verb::Insert => true,
            Verb::Upsert => self.scope_columns()?.is_empty(),
            Verb::Update => false,
        };
        Ok(chunk.steps.len() == 1 && (leaves_none_out || chunk.rows.len() == 1))
    }

    /// Sends the statements one after the other, and says how many rows were written.
    pub(super) async fn send_chunk(
        &self,
        verb: Verb,
        connection: &mut Connection<'_, DB>,
        chunk: Chunk<'_, M, DB>,
    ) -> Result<u64> {
        let mut written = 0;
        for Step { statement, insert, rows } in chunk.steps {
            let rows = chunk.rows.get(rows).unwrap_or_default();
            written += match (verb, insert) {
                (Verb::Update, _) => self.send_update(connection, statement, rows).await?,
                (_, Some(insert)) => self.send_upsert(connection, statement, insert, rows).await?,
                (_, None) => connection.execute(statement).await.map_err(failed::<M>)?,
            };
        }
        Ok(written)
    }

    async fn send_upsert(
        &self,
        connection: &mut Connection<'_, DB>,
        statement: Statement<DB>,
        insert: Statement<DB>,
        rows: &[Row<'_, M>],
    ) -> Result<u64> {
        let (expected, is_scoped) = (count(rows), !self.scope_columns()?.is_empty());
        let upserted = connection.upsert(statement, insert, expected);
        let refused = match upserted.await.map_err(failed::<M>)? {
            Upserted::Written => return Ok(expected),
            Upserted::LeftAlone if !is_scoped => return Ok(expected),
            Upserted::LeftAlone => Error::new(ErrorKind::ContextMismatch)
                .model(M::MODEL.name())
                .message("a row that has one of these ids is outside the scope of the cryptor"),
            Upserted::Refused(error) => failed::<M>(error),
        };
        if is_scoped {
            for row in rows {
                if !self.exists(row, true, connection).await? && self.exists(row, false, connection).await? {
                    return Err(self.outside_scope(row));
                }
            }
        }
        Err(refused)
    }

    async fn send_update(
        &self,
        connection: &mut Connection<'_, DB>,
        statement: Statement<DB>,
        rows: &[Row<'_, M>],
    ) -> Result<u64> {
        let expected = count(rows);
        if version_of::<M, DB>().is_none() || rows.len() == 1 {
            let written = connection.execute(statement).await.map_err(failed::<M>)?;
            return if written >= expected {
                Ok(expected)
            } else {
                Err(self.unwritten(connection, rows).await?)
            };
        }
        // which of the rows had another version is told by what they were before
        let mut step = connection.begin().await.map_err(failed::<M>)?;
        let written = match DB::execute(&mut step, statement.finish()).await {
            Ok(written) if written >= expected => step.commit().await.map(|()| written),
            Ok(written) => step.rollback().await.map(|()| written),
            Err(error) => {
                let _ = step.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        if written.map_err(failed::<M>)? >= expected {
            return Ok(expected);
        }
        Err(self.unwritten(connection, rows).await?)
    }

    /// Why an update wrote fewer rows than it should.
    async fn unwritten(&self, connection: &mut Connection<'_, DB>, rows: &[Row<'_, M>]) -> Result<Error> {
        let has_version = version_of::<M, DB>().is_some();
        for row in rows {
            if has_version && self.has_version(row, connection).await? {
                continue;
            }
            if !self.exists(row, true, connection).await? {
                return Ok(self.not_written(&self.written(|out| row.write_own_id(out))));
            }
            if has_version {
                return Ok(self.conflict(row));
            }
        }
        Ok(Error::new(ErrorKind::Conflict)
            .model(M::MODEL.name())
            .message(
                "a row was changed by someone else meanwhile, or the database kept one from being written",
            )
            .help("try again; look for a trigger or rule that keeps rows from being written"))
    }
}

fn count<T>(rows: &[T]) -> u64 {
    u64::try_from(rows.len()).unwrap_or(u64::MAX)
}

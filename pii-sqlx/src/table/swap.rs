//! Sealed values that take the place of others, unless someone else was faster.

use std::{collections::HashSet, future::IntoFuture};

use futures_core::future::BoxFuture;
use pii_core::Result;
use sqlx::{Database, Transaction};

use super::{Rows, SqlTable, Stored, failed, swapping::Changes};
use crate::{connection::Connection, dialect::Dialect, model::SqlModel};

/// What became of a row whose values were to be swapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Swap {
    /// It holds the new texts.
    Swapped,
    /// There was nothing to write: every text is the one that was loaded.
    Same,
    /// It stays as it is: since it was loaded, someone else wrote to one of the columns that were to be
    /// written, or to one of its context. Load it again.
    Changed,
    /// There is no such row any more, or not in the scope of the cryptor.
    Gone,
}

/// An UPDATE of one row, if it is as it was; made by [`SqlTable::swap`].
#[must_use = "nothing is written before this is awaited"]
pub struct SwapOne<'a, M: SqlModel<DB>, DB: Database> {
    table: &'a SqlTable<M, DB>,
    row: &'a Stored<M>,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> SwapOne<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, row: &'a Stored<M>) -> Self {
        Self { table, row, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SwapOne<'_, M, DB> {
    async fn run(self) -> Result<Swap> {
        let Self { table, row, connection } = self;
        let Some(changes) = table.changes(&[(&row.model, &row.texts)]).await?.pop() else {
            return Ok(Swap::Same);
        };
        let statement = table.swap_one(&changes, &[])?;
        let mut connection = table.connection(connection).await?;
        let swapped = connection.execute(statement).await.map_err(failed::<M>)?;
        match swapped {
            0 => table.why_not_swapped(&row.model, &mut connection).await,
            _ => Ok(Swap::Swapped),
        }
    }
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for SwapOne<'a, M, DB> {
    type Output = Result<Swap>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// UPDATEs of many rows, each if it is as it was; made by [`SqlTable::swap_many`].
#[must_use = "nothing is written before this is awaited"]
pub struct SwapMany<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    rows: &'a [Stored<M>],
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> SwapMany<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, rows: &'a [Stored<M>]) -> Self {
        Self { table, rows, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SwapMany<'_, M, DB> {
    async fn run(self) -> Result<Vec<Swap>> {
        let Self { table, rows, connection } = self;
        let stored: Vec<_> = rows.iter().map(|row| (&row.model, &row.texts)).collect();
        let changes = table.changes(&stored).await?;
        table.swap_changes(rows.len(), changes, &[], connection).await
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Swaps values of some of these rows for others that stand for the same: the version column stays, and these
    /// flags tell triggers that the value of a column stays too.
    pub(crate) async fn swap_same_values(
        &self,
        rows: &Rows<M>,
        indices: &[usize],
        flags: &[(String, String)],
    ) -> Result<Vec<Swap>> {
        let chosen = |index: &usize| Some((rows.models.get(*index)?, rows.texts.get(*index)?));
        let stored: Vec<_> = indices.iter().filter_map(chosen).collect();
        let mut changes = self.changes(&stored).await?;
        changes.iter_mut().for_each(Changes::keep_version);
        self.swap_changes(stored.len(), changes, flags, None).await
    }

    async fn swap_changes(
        &self,
        rows: usize,
        mut changes: Vec<Changes<'_, M>>,
        flags: &[(String, String)],
        connection: Option<&mut DB::Connection>,
    ) -> Result<Vec<Swap>> {
        let mut outcomes = vec![Swap::Same; rows];
        if changes.is_empty() {
            return Ok(outcomes);
        }
        let mut connection = self.connection(connection).await?;
        let told = if DB::SWAPS_BY_VALUES {
            let swapped = self.swap_by_values(&mut changes, flags, &mut connection).await?;
            self.told(&changes, &swapped, &mut connection).await?
        } else {
            self.swap_in_transaction(&changes, flags, connection).await?
        };
        for (change, outcome) in changes.iter().zip(told) {
            if let Some(of_row) = outcomes.get_mut(change.row) {
                *of_row = outcome;
            }
        }
        Ok(outcomes)
    }

    async fn swap_in_transaction(
        &self,
        changes: &[Changes<'_, M>],
        flags: &[(String, String)],
        mut connection: Connection<'_, DB>,
    ) -> Result<Vec<Swap>> {
        let mut tx: Transaction<'_, DB> = connection.begin().await.map_err(failed::<M>)?;
        let told = {
            let mut within = Connection::given(&mut *tx);
            match self.swap_in_turn(changes, flags, &mut within).await {
                Ok(swapped) => self.told(changes, &swapped, &mut within).await,
                Err(error) => Err(error),
            }
        };
        let told = match told {
            Ok(told) => tx.commit().await.map_err(failed::<M>).map(|()| told),
            Err(error) => {
                // the first error is the one to tell
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        told
    }

    /// What became of each row, when it is known which were swapped.
    async fn told(
        &self,
        changes: &[Changes<'_, M>],
        swapped: &HashSet<usize>,
        connection: &mut Connection<'_, DB>,
    ) -> Result<Vec<Swap>> {
        let mut told = Vec::with_capacity(changes.len());
        for change in changes {
            told.push(match swapped.contains(&change.row) {
                true => Swap::Swapped,
                false => self.why_not_swapped(change.model, connection).await?,
            });
        }
        Ok(told)
    }
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for SwapMany<'a, M, DB> {
    type Output = Result<Vec<Swap>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

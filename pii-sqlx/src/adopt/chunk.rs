//! One chunk of rows.

use pii_core::{Error, ErrorKind, FieldSelection, PlaintextPolicy, Result};
use sqlx::{Database, FromRow};

use super::report::AdoptionReport;
use crate::{
    dialect::Dialect,
    error::{self, sqlx_error},
    model::SqlModel,
    table::{Rows, SqlTable, Swap},
};

/// Where to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Seal,
    Back,
}

impl Way {
    pub(super) fn policy(self) -> PlaintextPolicy {
        match self {
            Self::Seal => PlaintextPolicy::AcceptAndSeal,
            Self::Back => PlaintextPolicy::Prepare,
        }
    }
}

/// What moves rows, one chunk after the other.
pub(super) struct Mover<'a, M, DB: Database> {
    pub(super) table: &'a SqlTable<M, DB>,
    /// the flags of shadow columns
    pub(super) flags: Vec<(String, String)>,
    pub(super) attempts: u32,
}

impl<M, DB> Mover<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// Moves these rows. Those that others write to meanwhile are read again.
    pub(super) async fn work(
        &self,
        rows: &mut Rows<M>,
        way: Way,
        fields: &FieldSelection,
        report: &mut AdoptionReport,
    ) -> Result<()> {
        let changed = self.pass(rows, way, fields, report).await?;
        let mut again = self.again(rows, &changed, report).await?;
        for _ in 1..self.attempts {
            if again.models.is_empty() {
                return Ok(());
            }
            let changed = self.pass(&mut again, way, fields, report).await?;
            again = self.again(&again, &changed, report).await?;
        }
        report.left += again.models.len() as u64;
        Ok(())
    }

    /// Tries once, and gives the indices of the rows that have changed meanwhile.
    async fn pass(
        &self,
        rows: &mut Rows<M>,
        way: Way,
        fields: &FieldSelection,
        report: &mut AdoptionReport,
    ) -> Result<Vec<usize>> {
        let cryptor = self.table.cryptor();
        let opened = match way {
            Way::Seal => &FieldSelection::Nothing,
            Way::Back => fields,
        };
        let opening = cryptor.open_each(&mut rows.models, opened).await.map_err(error::of::<M>)?;
        if way == Way::Back {
            cryptor.reseal_prepared(&mut rows.models)?;
        }
        let mut good = Vec::with_capacity(opening.len());
        for (index, opened) in opening.into_iter().enumerate() {
            match opened {
                Ok(()) => good.push(index),
                Err(error) => report.fail(error),
            }
        }
        match self.swap(rows, &good, report).await {
            Err(error) if good.len() > 1 && is_of_one_row(error.kind()) => {
                let mut changed = Vec::new();
                for index in good {
                    match self.swap(rows, &[index], report).await {
                        Ok(of_row) => changed.extend(of_row),
                        Err(error) if is_of_one_row(error.kind()) => {
                            report.fail(self.located(rows, index, error))
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(changed)
            }
            Err(error) if is_of_one_row(error.kind()) => {
                let failed = good.first().map(|index| self.located(rows, *index, error));
                failed.into_iter().for_each(|error| report.fail(error));
                Ok(Vec::new())
            }
            // nothing of the last statement was written: the others are found to be done already
            Err(error) if is_collision(&error) => Ok(good),
            done => done,
        }
    }

    async fn swap(
        &self,
        rows: &Rows<M>,
        indices: &[usize],
        report: &mut AdoptionReport,
    ) -> Result<Vec<usize>> {
        let outcomes = self.table.swap_same_values(rows, indices, &self.flags).await?;
        let mut changed = Vec::new();
        for (index, outcome) in indices.iter().zip(outcomes) {
            match outcome {
                Swap::Swapped => report.rows_written += 1,
                Swap::Gone => report.gone += 1,
                Swap::Changed => changed.push(*index),
                Swap::Same => {}
            }
        }
        Ok(changed)
    }

    /// An error that names the row, which one of the database does not.
    fn located(&self, rows: &Rows<M>, index: usize, error: Error) -> Error {
        match rows.models.get(index) {
            Some(model) => error.row(self.table.written(|out| model.write_own_id(out))),
            None => error,
        }
    }

    /// These rows as they are now.
    async fn again(&self, rows: &Rows<M>, indices: &[usize], report: &mut AdoptionReport) -> Result<Rows<M>> {
        let mut again = Rows::default();
        for model in indices.iter().filter_map(|index| rows.models.get(*index)) {
            let found = self.table.again(model).await?;
            match found.count() {
                0 => report.gone += 1,
                _ => report.retries += 1,
            }
            found.failures.into_iter().for_each(|error| report.fail(error));
            let found: Rows<M> = found.rows.into_iter().collect();
            again.models.extend(found.models);
            again.texts.extend(found.texts);
        }
        Ok(again)
    }
}

/// Whether sealing or writing failed for something that the other rows need not have, such as a value that is in a
/// unique blind index already.
fn is_of_one_row(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::NotEncrypted
            | ErrorKind::Malformed
            | ErrorKind::TooLarge
            | ErrorKind::State
            | ErrorKind::WrongPlace
            | ErrorKind::InvalidContext
            | ErrorKind::ContextMismatch
            | ErrorKind::Integrity
            | ErrorKind::UnknownVersion
            | ErrorKind::Duplicate
    )
}

/// Whether the statement met others that it could not go together with, and may be tried again: a
/// deadlock or a serialization failure of Postgres (40P01, 40001) or MySQL (40001), a database of SQLite that
/// others write to (5, 517).
pub(crate) fn is_collision(error: &Error) -> bool {
    let code = sqlx_error(error).and_then(|error| error.as_database_error()).and_then(|error| error.code());
    code.is_some_and(|code| matches!(code.as_ref(), "40P01" | "40001" | "5" | "517"))
}

//! A chunk of rows, sealed and ready to be sent.

use std::{collections::HashSet, ops::Range};

use pii_core::Result;
use sqlx::Database;

use super::{Verb, cases, source::Row, update};
use crate::{
    dialect::{Dialect, ManyUpdates},
    model::SqlModel,
    statement::Statement,
    table::{SqlTable, rows::NewRow},
};

/// Rows with the statements that write them.
pub(super) struct Chunk<'a, M, DB: Database> {
    pub(super) rows: Vec<Row<'a, M>>,
    pub(super) steps: Vec<Step<DB>>,
}

/// A statement with the rows that it writes.
pub(super) struct Step<DB: Database> {
    pub(super) statement: Statement<DB>,
    /// of an upsert the INSERT alone
    pub(super) insert: Option<Statement<DB>>,
    pub(super) rows: Range<usize>,
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Seals rows in one batch; there are `whole` of them in whole chunks.
    ///
    /// There is one statement, or more where neighbours omit different columns or are large, or the same id comes
    /// twice:
    /// the order of the rows stays, because ids are made up in it and the last one of an id wins.
    pub(super) async fn seal_chunk<'a>(
        &self,
        verb: Verb,
        rows: Vec<Row<'a, M>>,
        whole: usize,
    ) -> Result<Chunk<'a, M, DB>> {
        let models = rows.iter().map(|row| &**row).collect();
        let mut sealed = match verb {
            Verb::Update => self.seal_changes(models).await?,
            Verb::Insert | Verb::Upsert => self.seal(models).await?,
        };
        let mut steps = Vec::new();
        let mut start = 0;
        let mut rest = sealed.as_mut_slice();
        while !rest.is_empty() {
            let length = self.run_length(verb, rest);
            let run = rest.get_mut(..length).unwrap_or_default();
            let (step, taken) = self.step(verb, run, start, whole)?;
            steps.push(step);
            (start, rest) = (start + taken, rest.get_mut(taken..).unwrap_or_default());
        }
        drop(sealed);
        Ok(Chunk { rows, steps })
    }

    /// How many of these rows can stand in one statement.
    fn run_length(&self, verb: Verb, rows: &[NewRow<'_, M>]) -> usize {
        let Some(first) = rows.first() else { return 0 };
        let mut ids = HashSet::new();
        let fits = |row: &&NewRow<'_, M>| {
            first.is_like(row)
                && (verb == Verb::Insert
                    || !row.omitted.is_empty()
                    || ids.insert(self.written(|out| row.model.write_own_id(out))))
        };
        rows.iter().take(self.most_rows(verb, first)).take_while(fits).count().max(1)
    }

    /// How many rows such as this one a statement can have.
    fn most_rows(&self, verb: Verb, row: &NewRow<'_, M>) -> usize {
        match &DB::MANY_UPDATES {
            ManyUpdates::ByCases(cases) if verb == Verb::Update => cases.most_rows(row),
            _ => usize::MAX,
        }
    }

    /// The statement for as many of these rows as it can take, and how many those are.
    fn step(
        &self,
        verb: Verb,
        rows: &mut [NewRow<'_, M>],
        start: usize,
        whole: usize,
    ) -> Result<(Step<DB>, usize)> {
        let length = rows.len();
        let most = rows.first().map_or(1, |row| self.most_rows(verb, row));
        let (statement, insert, taken) = match (verb, rows) {
            (Verb::Insert, rows) => {
                let (statement, taken) = self.insert_some("", rows)?;
                (statement, None, taken)
            }
            (Verb::Upsert, rows) => {
                let ([statement, insert], taken) = self.upsert_statements(rows)?;
                (statement, Some(insert.once()), taken)
            }
            (Verb::Update, [row]) => (self.set(row.model, Some(&mut row.texts))?, None, 1),
            (Verb::Update, rows) => {
                let (statement, taken) = match &DB::MANY_UPDATES {
                    ManyUpdates::FromValues => (update::statement(self, rows)?, length),
                    ManyUpdates::ByCases(cases) => cases::statement(self, cases, rows)?,
                };
                (statement, None, taken)
            }
        };
        // whole chunks have the same text and are prepared once, as updates of one row; others hardly come again
        let is_reused = taken == whole.min(most) || (verb == Verb::Update && taken == 1);
        let statement = if is_reused { statement } else { statement.once() };
        Ok((Step { statement, insert, rows: start..start + taken }, taken))
    }
}

//! A chunk of rows, sealed and ready to be sent.

use std::{collections::HashSet, ops::Range};

use pii_core::Result;
use sqlx::Database;

use super::{Verb, source::Row, update};
use crate::{
    dialect::Dialect,
    model::SqlModel,
    statement::Statement,
    table::{SqlTable, rows::NewRow, upsert::push_on_conflict},
};

/// Rows with the statements that write them.
pub(super) struct Chunk<'a, M, DB: Database> {
    pub(super) rows: Vec<Row<'a, M>>,
    /// each with the rows that it writes
    pub(super) statements: Vec<(Statement<DB>, Range<usize>)>,
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Seals rows in one batch. Whole chunks, of `whole` rows, have the same text and are prepared once.
    ///
    /// There is one statement, or more where neighbours omit different columns, or the same id comes twice:
    /// the order of the rows stays, because ids are made up in it and the last one of an id wins.
    pub(super) async fn seal_chunk<'a>(
        &self,
        verb: Verb,
        rows: Vec<Row<'a, M>>,
        whole: usize,
    ) -> Result<Chunk<'a, M, DB>> {
        let mut sealed = self.seal(rows.iter().map(|row| &**row).collect()).await?;
        let mut statements = Vec::new();
        let mut start = 0;
        let mut rest = sealed.as_mut_slice();
        while !rest.is_empty() {
            let (run, after) = rest.split_at_mut(self.run_length(verb, rest));
            let statement = self.statement(verb, run)?;
            let end = start + run.len();
            // other statements hardly come again
            let statement = if run.len() == whole { statement } else { statement.once() };
            statements.push((statement, start..end));
            (start, rest) = (end, after);
        }
        drop(sealed);
        Ok(Chunk { rows, statements })
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
        rows.iter().take_while(fits).count().max(1)
    }

    fn statement(&self, verb: Verb, rows: &mut [NewRow<'_, M>]) -> Result<Statement<DB>> {
        match verb {
            Verb::Insert => self.insert_into("", rows),
            Verb::Upsert => {
                let mut statement = self.insert_into(" AS pii_stored", rows)?;
                push_on_conflict::<M, DB>(&mut statement, &self.scope_columns()?)?;
                Ok(statement)
            }
            Verb::Update => update::statement(self, rows),
        }
    }
}

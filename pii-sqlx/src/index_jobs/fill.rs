//! The job that fills in codes.

use std::{future::IntoFuture, ops::ControlFlow, sync::Arc};

use futures_core::future::BoxFuture;
use pii_core::{ErrorKind, IndexEntry, IndexText, Result, RowWriter, index::IndexFillReport};
use sqlx::{Database, FromRow};

use super::{
    rows::{Indexed, Which},
    shown_id,
    write::Codes,
};
use crate::{
    adopt::{Cursor, is_collision},
    dialect::Dialect,
    model::SqlModel,
    table::{SqlTable, Swap},
};

/// Rows of a chunk, unless something else is said.
const CHUNK_ROWS: u32 = 500;

/// Called after each chunk.
type Watch<'a> = Box<dyn FnMut(&IndexFillReport) -> ControlFlow<()> + Send + 'a>;

/// A job that fills in the codes of blind indexes; made by [`SqlTable::fill_indexes`]. Awaited, it says what it
/// did.
///
/// It walks through the table in the order of the ids, chunk by chunk, reads the rows that lack the code of a
/// live version, or have one and no value, opens the fields of the indexes, and writes the index columns
/// alone, in one transaction for each chunk. A row is written only if its sealed values are still those that
/// were read: one that someone else writes to meanwhile is read again. Being given up, killed or run twice
/// does no harm at any point: what is done is not read again.
///
/// Codes that are there and wrong are found by [`every_row`](Self::every_row). They come from programs that do
/// not know the index, and changed the value after its code was written: run it when the last of them is gone.
///
/// A row that gets its codes while [`clear_indexes`](SqlTable::clear_indexes) erases its person may keep them:
/// let a job end, or stop it, before you erase.
///
/// # Errors
/// What is wrong with all rows: [`ErrorKind::Configuration`] for a model without an index, a view that lacks
/// a field of one, or a cryptor without a key store; [`ErrorKind::Mode`] for fields that can't be opened;
/// errors of keys and of the database. What concerns one row is in the report: that it can't be opened, or that
/// another row has its value in an index that is `unique` in the database ([`ErrorKind::Duplicate`]).
#[must_use = "nothing is done before this is awaited"]
pub struct FillIndexes<'a, M: SqlModel<DB>, DB: Database> {
    table: &'a SqlTable<M, DB>,
    which: Which,
    chunk: u32,
    attempts: u32,
    after: Option<M::Id>,
    watch: Option<Watch<'a>>,
}

impl<'a, M, DB> FillIndexes<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    pub(super) fn new(table: &'a SqlTable<M, DB>) -> Self {
        Self { table, which: Which::Lacking, chunk: CHUNK_ROWS, attempts: 5, after: None, watch: None }
    }

    /// Reads every row, also those that have their codes, and corrects those that are wrong.
    pub fn every_row(mut self) -> Self {
        self.which = Which::All;
        self
    }

    /// How many rows are read and written at a time; 500 otherwise. 0 counts as 1.
    pub fn chunk_rows(mut self, rows: u32) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// How often a row is tried that others write to again and again; 5 times otherwise.
    pub fn attempts(mut self, times: u32) -> Self {
        self.attempts = times.max(1);
        self
    }

    /// Begins after the row of this id, which need not exist. The [report](IndexFillReport::last_id) says where a
    /// job was.
    pub fn after(mut self, id: impl Into<M::Id>) -> Self {
        self.after = Some(id.into());
        self
    }

    /// Calls this after each chunk, with what was done up to then. `ControlFlow::Break` stops the job: another
    /// run goes on where this one was.
    pub fn on_chunk(mut self, watch: impl FnMut(&IndexFillReport) -> ControlFlow<()> + Send + 'a) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    async fn run(self) -> Result<IndexFillReport> {
        let Self { table, which, chunk, attempts, after, mut watch } = self;
        // what would be refused for every row, before the database is asked for any
        table.cryptor().index_each::<M>(&mut []).await?;
        let filler = Filler { table, attempts };
        let mut report = IndexFillReport::default();
        let mut cursor = Cursor::after(after);
        loop {
            let found = table.indexed_page(&cursor, which, true, chunk).await?;
            let is_full = found.is_full(chunk);
            report.rows_read += found.count() as u64;
            found.failures.into_iter().for_each(|error| report.fail(error));
            let mut page = Indexed::default();
            page.extend(found.rows);
            filler.work(&mut page, &mut report).await?;
            let next = found.end.next(&mut page.rows.models)?;
            if let Some(last) = next.as_ref().and_then(shown_end::<M, DB>) {
                report.last_id = Some(last);
            }
            let next = next.filter(|_| is_full);
            report.is_complete = next.is_none();
            let goes_on = watch.as_mut().map_or(ControlFlow::Continue(()), |watch| watch(&report));
            match next.filter(|_| goes_on.is_continue()) {
                Some(next) => cursor = next,
                None => return Ok(report),
            }
        }
    }
}

impl<'a, M, DB> IntoFuture for FillIndexes<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    type Output = Result<IndexFillReport>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What fills in rows, one chunk after the other.
struct Filler<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    attempts: u32,
}

impl<M, DB> Filler<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// Fills in these rows. Those that others write to meanwhile are read again.
    async fn work(&self, page: &mut Indexed<M>, report: &mut IndexFillReport) -> Result<()> {
        let changed = self.pass(page, report).await?;
        let mut again = self.again(page, &changed, report).await?;
        for _ in 1..self.attempts {
            if again.rows.models.is_empty() {
                return Ok(());
            }
            let changed = self.pass(&mut again, report).await?;
            again = self.again(&again, &changed, report).await?;
        }
        report.left += again.rows.models.len() as u64;
        Ok(())
    }

    /// Tries once, and gives the indices of the rows that have changed meanwhile.
    async fn pass(&self, page: &mut Indexed<M>, report: &mut IndexFillReport) -> Result<Vec<usize>> {
        let computed = self.table.cryptor().index_each(&mut page.rows.models).await?;
        let Indexed { rows, codes: stored } = page;
        let mut due = Vec::new();
        for (row, (computed, stored)) in computed.into_iter().zip(stored.iter()).enumerate() {
            let codes = match computed {
                Ok(entries) => codes_of(&entries),
                Err(error) => {
                    report.fail(error);
                    continue;
                }
            };
            if codes.iter().map(Option::as_deref).eq(stored.iter().map(Option::as_deref)) {
                report.unchanged += 1;
                continue;
            }
            let (Some(model), Some(texts)) = (rows.models.get(row), rows.texts.get(row)) else { continue };
            let sealed = M::COLUMNS.iter().filter(|column| column.kind.is_sealed()).zip(texts);
            let made_of = sealed
                .filter(|(column, _)| is_indexed::<M, DB>(column.name))
                .map(|(column, text)| (column.name, text.as_ref().map(|text| text.as_str())));
            due.push(Codes { row, model, codes, made_of: made_of.collect() });
        }
        self.write(&due, report).await
    }

    async fn write(&self, due: &[Codes<'_, M>], report: &mut IndexFillReport) -> Result<Vec<usize>> {
        match self.table.write_codes(due).await {
            Ok(told) => Ok(count(due, &told, report)),
            Err(error) if is_collision(&error) => Ok(due.iter().map(|row| row.row).collect()),
            Err(error) if error.kind() != ErrorKind::Duplicate => Err(error),
            // nothing of the chunk was written
            Err(_) => {
                let mut changed = Vec::new();
                for row in due {
                    let row = std::slice::from_ref(row);
                    match self.table.write_codes(row).await {
                        Ok(told) => changed.extend(count(row, &told, report)),
                        Err(error) if is_collision(&error) => changed.extend(row.iter().map(|row| row.row)),
                        Err(error) if error.kind() == ErrorKind::Duplicate => {
                            let id = row.first().map(|row| shown_id::<M, DB>(row.model));
                            report.fail(error.row(id.unwrap_or_default()));
                        }
                        Err(error) => return Err(error),
                    }
                }
                Ok(changed)
            }
        }
    }

    /// These rows as they are now.
    async fn again(
        &self,
        page: &Indexed<M>,
        indices: &[usize],
        report: &mut IndexFillReport,
    ) -> Result<Indexed<M>> {
        let mut again = Indexed::default();
        for model in indices.iter().filter_map(|index| page.rows.models.get(*index)) {
            let found = self.table.indexed_again(model).await?;
            match found.count() {
                0 => report.gone += 1,
                _ => report.retries += 1,
            }
            found.failures.into_iter().for_each(|error| report.fail(error));
            again.extend(found.rows);
        }
        Ok(again)
    }
}

/// Counts what became of rows, and gives those that have changed.
fn count<M>(rows: &[Codes<'_, M>], told: &[Swap], report: &mut IndexFillReport) -> Vec<usize> {
    let mut changed = Vec::new();
    for (row, outcome) in rows.iter().zip(told) {
        match outcome {
            Swap::Swapped => report.filled += 1,
            Swap::Same => report.unchanged += 1,
            Swap::Gone => report.gone += 1,
            Swap::Changed => changed.push(row.row),
        }
    }
    changed
}

/// The id where a job goes on.
fn shown_end<M: SqlModel<DB>, DB: Dialect>(cursor: &Cursor<M, M::Id>) -> Option<String> {
    let mut writer = RowWriter::default();
    match cursor {
        Cursor::Start => return None,
        Cursor::After(id) => M::write_id(id, &mut writer),
        Cursor::AfterRow(row) => row.write_own_id(&mut writer),
    }
    Some(writer.to_string())
}

fn codes_of(entries: &[IndexEntry]) -> Vec<Option<Arc<str>>> {
    let code = |entry: &IndexEntry| match &entry.text {
        IndexText::Text(text) => Some(Arc::clone(text)),
        // nothing is left unchanged where all parts are open
        IndexText::Null | IndexText::Unchanged => None,
    };
    entries.iter().map(code).collect()
}

/// Whether an index is made of this column.
fn is_indexed<M: SqlModel<DB>, DB: Dialect>(column: &str) -> bool {
    let mut parts = M::MODEL.indexes().iter().flat_map(|index| index.parts());
    parts.any(|part| M::MODEL.field(part.field).is_some_and(|field| field.column() == column))
}

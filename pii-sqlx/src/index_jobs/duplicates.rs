//! The look for duplicates.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{
    Result,
    index::{DuplicateSearch, IndexDuplicates},
};
use sqlx::{Database, FromRow};

use super::{rows::Which, shown_id};
use crate::{adopt::Cursor, dialect::Dialect, model::SqlModel, table::SqlTable};

/// Rows of a chunk, unless something else is said.
const CHUNK_ROWS: u32 = 500;

/// So many values are told with their rows, unless something else is said.
const TOLD: usize = 100;

/// A look for rows that have the same value of an index; made by [`SqlTable::index_duplicates`]. Awaited, it says
/// which.
///
/// It reads the whole table in the order of the ids, opens the fields of the indexes, and keeps 16 bytes of each
/// code in memory: 32 MB or so for a million rows. If there are duplicates, it goes through the table once more
/// for their ids. It holds no transaction, so rows that change meanwhile may be missed, or told alone. What is
/// the same is what it will be in the database: with the default scope of an index within one encryption
/// context, with `scope = "global"` in the whole table. A [scoped](pii_core::Cryptor::scoped) cryptor sees its own
/// rows only.
///
/// # Errors
/// [`Configuration`](pii_core::ErrorKind::Configuration) if there is no such index, or if it keeps fewer than 128
/// bits, so that different values have the same code; and those of [`FillIndexes`](super::FillIndexes).
#[must_use = "nothing is read before this is awaited"]
pub struct FindDuplicates<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    index: String,
    chunk: u32,
    told: usize,
}

impl<'a, M, DB> FindDuplicates<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    pub(super) fn new(table: &'a SqlTable<M, DB>, index: &str) -> Self {
        Self { table, index: index.to_owned(), chunk: CHUNK_ROWS, told: TOLD }
    }

    /// How many rows are read at a time; 500 otherwise. 0 counts as 1.
    pub fn chunk_rows(mut self, rows: u32) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// Of how many values the rows are told; 100 otherwise. The others are counted.
    pub fn at_most(mut self, values: usize) -> Self {
        self.told = values;
        self
    }

    async fn run(self) -> Result<IndexDuplicates> {
        let mut search = DuplicateSearch::new(M::MODEL, &self.index, self.told)?;
        self.table.cryptor().index_each::<M>(&mut []).await?;
        self.walk(|_, entries| search.look(entries)).await?;
        if search.finds_any() {
            self.walk(|model, entries| {
                if let (Some(model), Ok(entries)) = (model, entries) {
                    search.tell(&entries, shown_id::<M, DB>(model));
                }
            })
            .await?;
        }
        Ok(search.into_report())
    }

    /// Goes through all rows.
    async fn walk(
        &self,
        mut visit: impl FnMut(Option<&M>, Result<Vec<pii_core::IndexEntry>>) + Send,
    ) -> Result<()> {
        let mut cursor = Cursor::Start;
        loop {
            let found = self.table.indexed_page(&cursor, Which::All, false, self.chunk).await?;
            let is_full = found.is_full(self.chunk);
            let mut models: Vec<M> = found.rows.into_iter().map(|(model, _)| model).collect();
            let computed = self.table.cryptor().index_each(&mut models).await?;
            for (model, entries) in models.iter().zip(computed) {
                visit(Some(model), entries);
            }
            found.failures.into_iter().for_each(|error| visit(None, Err(error)));
            match found.end.next(&mut models)?.filter(|_| is_full) {
                Some(next) => cursor = next,
                None => return Ok(()),
            }
        }
    }
}

impl<'a, M, DB> IntoFuture for FindDuplicates<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    type Output = Result<IndexDuplicates>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

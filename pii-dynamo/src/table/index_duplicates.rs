//! The look for duplicates.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{
    IndexEntry, Result,
    index::{DuplicateSearch, IndexDuplicates},
};
use serde::de::DeserializeOwned;

use super::DynamoTable;
use crate::{key::Key, model::DynamoModel, open};

/// Items of a page.
const PAGE_ITEMS: i32 = 500;

/// So many values are told with their items, unless something else is said.
const TOLD: usize = 100;

/// A look for items that have the same value of an index; made by [`DynamoTable::index_duplicates`]. Awaited, it says
/// which, where rows are items.
///
/// It scans the table, opens the fields of the indexes, and keeps 16 bytes of each code in memory: 32 MB or so for
/// a million items. If there are duplicates, it scans once more for their ids. Items that change meanwhile may be
/// missed, or told alone. A [scoped](pii_core::Cryptor::scoped) cryptor sees its own items only.
///
/// # Errors
/// [`Configuration`](pii_core::ErrorKind::Configuration) if there is no such index, or if it keeps fewer than 128
/// bits, so that different values have the same code; and those of [`FillIndexes`](super::FillIndexes).
#[must_use = "nothing is read before this is awaited"]
pub struct FindDuplicates<'a, M> {
    table: &'a DynamoTable<M>,
    index: String,
    told: usize,
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync> FindDuplicates<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, index: &str) -> Self {
        Self { table, index: index.to_owned(), told: TOLD }
    }

    /// Of how many values the items are told; 100 otherwise. The others are counted.
    pub fn at_most(mut self, values: usize) -> Self {
        self.told = values;
        self
    }

    async fn run(self) -> Result<IndexDuplicates> {
        let mut search = DuplicateSearch::new(M::MODEL, &self.index, self.told)?;
        self.table.cryptor.index_each::<M>(&mut []).await.map_err(DynamoTable::<M>::failed)?;
        self.walk(|_, entries| search.look(entries)).await?;
        if search.finds_any() {
            self.walk(|model, entries| {
                if let (Ok(entries), Some(Ok(key))) = (entries, model.map(Key::of_model)) {
                    search.tell(&entries, key.row);
                }
            })
            .await?;
        }
        Ok(search.into_report())
    }

    /// Goes through all items.
    async fn walk(&self, mut visit: impl FnMut(Option<&M>, Result<Vec<IndexEntry>>) + Send) -> Result<()> {
        let mut start = None;
        loop {
            let page = self.table.stored_page(start, PAGE_ITEMS, |_| Vec::new()).await?;
            let mut models = Vec::with_capacity(page.items.len());
            for item in page.items {
                let row = open::row_of(&item, M::MODEL);
                match self.table.decode(item) {
                    Ok(model) => models.push(model),
                    Err(error) => visit(None, Err(error.row(row))),
                }
            }
            let computed =
                self.table.cryptor.index_each(&mut models).await.map_err(DynamoTable::<M>::failed)?;
            for (model, entries) in models.iter().zip(computed) {
                visit(Some(model), entries);
            }
            match page.last_key {
                Some(key) => start = Some(key),
                None => return Ok(()),
            }
        }
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for FindDuplicates<'a, M> {
    type Output = Result<IndexDuplicates>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! Pages of items, alike for queries and scans.

use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{Error, FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::{DynamoTable, pages::OpenedPage};
use crate::{item::Item, model::DynamoModel, open};

/// A page of items: at most 1 MB of what is stored.
#[derive(Debug)]
#[non_exhaustive]
pub struct Page<M> {
    /// The items, each with its own result.
    pub items: Vec<Result<M>>,
    /// Where the next page begins, if there is one.
    pub last_key: Option<Item>,
    /// How many items were read before filters.
    pub scanned: i32,
    /// The capacity that the page took, if it was asked for.
    pub consumed_capacity: Option<ConsumedCapacity>,
}

/// A page as it comes.
pub(super) struct RawPage {
    pub(super) items: Vec<Item>,
    pub(super) last_key: Option<Item>,
    pub(super) scanned: i32,
    pub(super) consumed_capacity: Option<ConsumedCapacity>,
}

/// Asks for the page that begins after a key, with at most so many items.
pub(super) type Ask<'a> =
    Box<dyn Fn(Option<Item>, Option<i32>) -> BoxFuture<'a, Result<RawPage>> + Send + 'a>;

/// What is read, and what is done with it.
#[derive(Clone, Default)]
pub(super) struct Reading {
    pub(super) fields: FieldSelection,
    pub(super) start: Option<Item>,
    /// how many items at most
    pub(super) limit: Option<usize>,
}

/// What one can say about every query and scan.
pub(super) struct Options {
    pub(super) index: Option<String>,
    pub(super) filters: Vec<(String, AttributeValue)>,
    pub(super) reading: Reading,
    pub(super) is_consistent: bool,
    pub(super) counts_capacity: bool,
    /// a value that can't be compared
    pub(super) failed: Option<Error>,
}

impl Default for Options {
    fn default() -> Self {
        let reading = Reading { fields: FieldSelection::Nothing, ..Reading::default() };
        let (index, filters, is_consistent, counts_capacity, failed) = Default::default();
        Self { index, filters, reading, is_consistent, counts_capacity, failed }
    }
}

impl Options {
    /// What asks for capacity.
    pub(super) fn capacity(&self) -> Option<ReturnConsumedCapacity> {
        self.counts_capacity.then_some(ReturnConsumedCapacity::Total)
    }
}

/// The methods of queries and scans that set their [`Options`].
macro_rules! read_options {
    () => {
        /// Of the items read, only those whose attribute is this. A sealed attribute is never equal to
        /// anything: that is refused.
        pub fn only(mut self, name: &str, value: impl Serialize) -> Self {
            match attribute(&value) {
                Ok(value) => self.options.filters.push((name.to_owned(), value)),
                Err(error) => self.options.failed = self.options.failed.or(Some(error)),
            }
            self
        }

        /// Opens every field whose mode allows it, one batch for each page.
        pub fn decrypt_pii(mut self) -> Self {
            self.options.reading.fields = FieldSelection::All;
            self
        }

        /// Opens these fields only, by their stable names; the others stay sealed.
        pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
            self.options.reading.fields = FieldSelection::only(names);
            self
        }

        /// Reads what was written last, instead of what a replica may still have. Not for global indexes.
        pub fn consistent(mut self) -> Self {
            self.options.is_consistent = true;
            self
        }

        /// At most so many items.
        pub fn limit(mut self, items: usize) -> Self {
            self.options.reading.limit = Some(items);
            self
        }

        /// Goes on after this key, the `last_key` of a page.
        pub fn start_after(mut self, key: Item) -> Self {
            self.options.reading.start = Some(key);
            self
        }

        /// Has pages tell the capacity that they took.
        pub fn counting_capacity(mut self) -> Self {
            self.options.counts_capacity = true;
            self
        }
    };
}

/// The results of queries and scans, made of their `pages`.
macro_rules! read_results {
    ($request:ident) => {
        impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> $request<'a, M> {
            /// The items one after the other; the first error is the last.
            ///
            /// # Errors
            /// What is refused before anything is asked for.
            pub fn stream(self) -> Result<BoxStream<'a, Result<M>>> {
                Ok(good_items_of(self.pages()?))
            }

            /// The items, each with its own result: one that is damaged does not hide the others.
            ///
            /// # Errors
            /// What concerns all of them.
            pub async fn each(self) -> Result<Vec<Result<M>>> {
                each_item_of(self.opened_pages(Asking::Ahead)?).await
            }
        }

        impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> IntoFuture for $request<'a, M> {
            type Output = Result<Vec<M>>;
            type IntoFuture = BoxFuture<'a, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(async move { all_items_of(self.opened_pages(Asking::Ahead)?).await })
            }
        }
    };
}
pub(super) use {read_options, read_results};

impl<M: DynamoModel + DeserializeOwned + Send> DynamoTable<M> {
    /// Models of items, opened in one batch, each with its own result.
    pub(super) async fn open_items(
        &self,
        items: Vec<Item>,
        fields: &FieldSelection,
    ) -> Result<Vec<Result<M>>> {
        open::items(&self.cryptor, items, self.entity.as_deref(), fields).await
    }
}

/// Items with results of their own, from pages.
fn items_of<'a, M: Send + 'a>(pages: BoxStream<'a, Result<Page<M>>>) -> BoxStream<'a, Result<Result<M>>> {
    Box::pin(pages.map_ok(|page| stream::iter(page.items.into_iter().map(Ok))).try_flatten())
}

/// All items, each with its own result; a page at a time, not an item.
pub(super) async fn each_item_of<M>(
    mut pages: BoxStream<'_, Result<OpenedPage<M>>>,
) -> Result<Vec<Result<M>>> {
    let mut each = Vec::new();
    while let Some(page) = pages.try_next().await? {
        append(&mut each, page.items.each());
    }
    Ok(each)
}

/// All items, or the first error; a page at a time, not an item.
pub(super) async fn all_items_of<M>(mut pages: BoxStream<'_, Result<OpenedPage<M>>>) -> Result<Vec<M>> {
    let mut all = Vec::new();
    while let Some(page) = pages.try_next().await? {
        append(&mut all, page.items.all()?);
    }
    Ok(all)
}

/// Most answers have one page.
fn append<T>(all: &mut Vec<T>, page: Vec<T>) {
    match all.is_empty() {
        true => *all = page,
        false => all.extend(page),
    }
}

/// Items up to the first error.
pub(super) fn good_items_of<'a, M: Send + 'a>(
    pages: BoxStream<'a, Result<Page<M>>>,
) -> BoxStream<'a, Result<M>> {
    open::until_error(Box::pin(items_of(pages).map(|item| item.and_then(|item| item))))
}

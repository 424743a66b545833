//! Pages of items, alike for queries and scans.

use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{Error, FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::DynamoTable;
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
                items_of(self.pages()?).try_collect().await
            }
        }

        impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> IntoFuture for $request<'a, M> {
            type Output = Result<Vec<M>>;
            type IntoFuture = BoxFuture<'a, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                Box::pin(async move { all_items_of(self.pages()?).await })
            }
        }
    };
}
pub(super) use {read_options, read_results};

impl<M: DynamoModel + DeserializeOwned + Send> DynamoTable<M> {
    /// All pages, one after the other; each is asked for when it is wanted.
    pub(super) fn pages<'a>(&'a self, ask: Ask<'a>, reading: Reading) -> BoxStream<'a, Result<Page<M>>> {
        struct State<'a> {
            ask: Ask<'a>,
            fields: FieldSelection,
            next: Next,
            left: Option<usize>,
        }
        enum Next {
            First(Option<Item>),
            After(Item),
            End,
        }
        let next = Next::First(reading.start);
        let state = State { ask, fields: reading.fields, next, left: reading.limit };
        Box::pin(stream::try_unfold(state, move |mut state| async move {
            let start = match std::mem::replace(&mut state.next, Next::End) {
                Next::First(start) => {
                    self.check(&state.fields).await?;
                    start
                }
                Next::After(key) => Some(key),
                Next::End => return Ok(None),
            };
            if state.left == Some(0) {
                return Ok(None);
            }
            let at_most = state.left.map(|left| i32::try_from(left).unwrap_or(i32::MAX));
            let mut page = self.open_page((state.ask)(start, at_most).await?, &state.fields).await?;
            if let Some(left) = &mut state.left {
                page.items.truncate(*left);
                *left -= page.items.len();
            }
            if let Some(last_key) = page.last_key.clone() {
                state.next = Next::After(last_key);
            }
            Ok(Some((page, state)))
        }))
    }

    /// Opens the items of a page in one batch.
    async fn open_page(&self, raw: RawPage, fields: &FieldSelection) -> Result<Page<M>> {
        let RawPage { items, last_key, scanned, consumed_capacity } = raw;
        let items = items.into_iter().filter(|item| self.is_of_entity(item)).collect();
        Ok(Page { items: self.open_items(items, fields).await?, last_key, scanned, consumed_capacity })
    }

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
pub(super) fn items_of<'a, M: Send + 'a>(
    pages: BoxStream<'a, Result<Page<M>>>,
) -> BoxStream<'a, Result<Result<M>>> {
    Box::pin(pages.map_ok(|page| stream::iter(page.items.into_iter().map(Ok))).try_flatten())
}

/// All items, or the first error; a page at a time, not an item.
pub(super) async fn all_items_of<M>(mut pages: BoxStream<'_, Result<Page<M>>>) -> Result<Vec<M>> {
    let mut all = Vec::new();
    while let Some(page) = pages.try_next().await? {
        let items = page.items.into_iter().collect::<Result<Vec<M>>>()?;
        if all.is_empty() {
            // most answers have one page
            all = items;
        } else {
            all.extend(items);
        }
    }
    Ok(all)
}

/// Items up to the first error.
pub(super) fn good_items_of<'a, M: Send + 'a>(
    pages: BoxStream<'a, Result<Page<M>>>,
) -> BoxStream<'a, Result<M>> {
    open::until_error(Box::pin(items_of(pages).map(|item| item.and_then(|item| item))))
}

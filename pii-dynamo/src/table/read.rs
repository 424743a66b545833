//! Pages of items, alike for queries and scans.

use aws_sdk_dynamodb::types::ConsumedCapacity;
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{FieldSelection, Result};
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
pub(super) struct Reading {
    pub(super) fields: FieldSelection,
    pub(super) start: Option<Item>,
    /// how many items at most
    pub(super) limit: Option<usize>,
}

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

/// Items up to the first error.
pub(super) fn good_items_of<'a, M: Send + 'a>(
    pages: BoxStream<'a, Result<Page<M>>>,
) -> BoxStream<'a, Result<M>> {
    open::until_error(Box::pin(items_of(pages).map(|item| item.and_then(|item| item))))
}

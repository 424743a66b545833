//! Pages one after the other, each opened in one batch.

use aws_sdk_dynamodb::types::ConsumedCapacity;
use futures_core::stream::BoxStream;
use futures_util::{future::join, stream};
use pii_core::{FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::{
    DynamoTable,
    read::{Ask, Page, RawPage, Reading},
};
use crate::{
    item::Item,
    model::DynamoModel,
    open::{self, Batch},
};

/// A page whose items were opened in one batch.
pub(super) struct OpenedPage<M> {
    pub(super) items: Batch<M>,
    last_key: Option<Item>,
    scanned: i32,
    consumed_capacity: Option<ConsumedCapacity>,
}

impl<M> OpenedPage<M> {
    /// With a result for each item.
    pub(super) fn each(self) -> Page<M> {
        let Self { items, last_key, scanned, consumed_capacity } = self;
        Page { items: items.each(), last_key, scanned, consumed_capacity }
    }
}

/// When a page is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asking {
    /// When it is wanted.
    Wanted,
    /// While the one before is opened: for who wants all of them.
    Ahead,
}

impl<M: DynamoModel + DeserializeOwned + Send> DynamoTable<M> {
    /// All pages, one after the other.
    pub(super) fn opened_pages<'a>(
        &'a self,
        ask: Ask<'a>,
        asking: Asking,
        reading: Reading,
    ) -> BoxStream<'a, Result<OpenedPage<M>>> {
        struct State<'a> {
            ask: Ask<'a>,
            fields: FieldSelection,
            next: Next,
            left: Option<usize>,
        }
        enum Next {
            First(Option<Item>),
            After(Item),
            /// It was asked for already.
            Asked(Box<Result<RawPage>>),
            End,
        }
        impl State<'_> {
            /// Asks for a page, of no more items than are wanted still.
            async fn ask(&mut self, start: Option<Item>) -> Result<RawPage> {
                let at_most = self.left.map(|left| i32::try_from(left).unwrap_or(i32::MAX));
                (self.ask)(start, at_most).await
            }
        }
        let next = Next::First(reading.start);
        let state = State { ask, fields: reading.fields, next, left: reading.limit };
        Box::pin(stream::try_unfold(state, move |mut state| async move {
            let raw = match std::mem::replace(&mut state.next, Next::End) {
                Next::First(start) => {
                    self.check(&state.fields).await?;
                    match state.left {
                        Some(0) => return Ok(None),
                        _ => state.ask(start).await?,
                    }
                }
                Next::After(key) => state.ask(Some(key)).await?,
                Next::Asked(page) => (*page)?,
                Next::End => return Ok(None),
            };
            let RawPage { mut items, last_key, scanned, consumed_capacity } = raw;
            items.retain(|item| self.is_of_entity(item));
            if let Some(left) = &mut state.left {
                items.truncate(*left);
                *left -= items.len();
            }
            let next_key = last_key.clone().filter(|_| state.left != Some(0));
            let fields = state.fields.clone();
            let open = open::batch(&self.cryptor, items, self.entity.as_deref(), &fields);
            let items = match (next_key, asking) {
                (None, _) => open.await?,
                (Some(key), Asking::Wanted) => {
                    state.next = Next::After(key);
                    open.await?
                }
                (Some(key), Asking::Ahead) => {
                    // the request first: opening may take a while before it waits for anything
                    let (page, items) = join(state.ask(Some(key)), open).await;
                    state.next = Next::Asked(Box::new(page));
                    items?
                }
            };
            Ok(Some((OpenedPage { items, last_key, scanned, consumed_capacity }, state)))
        }))
    }
}

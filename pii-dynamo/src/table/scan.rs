//! All items of the table.

use std::future::IntoFuture;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{TryStreamExt as _, stream};
use pii_core::{Error, ErrorKind, FieldSelection, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    DynamoTable,
    query::attribute,
    read::{Page, RawPage, Reading, good_items_of, items_of},
};
use crate::{error::from_sdk, item::Item, model::DynamoModel, placeholders::Placeholders};

/// DynamoDB's limit.
const MOST_SEGMENTS: u32 = 1_000_000;

/// A Scan; made by [`DynamoTable::scan`]. Awaited, it gives all items, page after page.
#[must_use = "nothing is read before this is awaited"]
pub struct Scan<'a, M> {
    table: &'a DynamoTable<M>,
    index: Option<String>,
    filters: Vec<(String, AttributeValue)>,
    fields: FieldSelection,
    start: Option<Item>,
    limit: Option<usize>,
    segments: u32,
    is_consistent: bool,
    counts_capacity: bool,
    failed: Option<Error>,
}

impl<'a, M: DynamoModel> Scan<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>) -> Self {
        Self {
            table,
            index: None,
            filters: Vec::new(),
            fields: FieldSelection::Nothing,
            start: None,
            limit: None,
            segments: 1,
            is_consistent: false,
            counts_capacity: false,
            failed: None,
        }
    }

    /// Reads an index of the table instead.
    pub fn index(mut self, name: &str) -> Self {
        self.index = Some(name.to_owned());
        self
    }

    /// Of the items read, only those whose attribute is this. A sealed attribute is never equal to
    /// anything: that is refused.
    pub fn only(mut self, name: &str, value: impl Serialize) -> Self {
        match attribute(&value) {
            Ok(value) => self.filters.push((name.to_owned(), value)),
            Err(error) => self.failed = self.failed.or(Some(error)),
        }
        self
    }

    /// Opens every field whose mode allows it, one batch for each page.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Reads what was written last, instead of what a replica may still have. Not for global indexes.
    pub fn consistent(mut self) -> Self {
        self.is_consistent = true;
        self
    }

    /// At most so many items.
    pub fn limit(mut self, items: usize) -> Self {
        self.limit = Some(items);
        self
    }

    /// Goes on after this key, the `last_key` of a page. Not together with several segments.
    pub fn start_after(mut self, key: Item) -> Self {
        self.start = Some(key);
        self
    }

    /// Reads so many parts of the table at a time, in one task: as many pages are in memory, and on their
    /// way. Items come in no order.
    pub fn segments(mut self, segments: u32) -> Self {
        self.segments = segments;
        self
    }

    /// Has pages tell the capacity that they took.
    pub fn counting_capacity(mut self) -> Self {
        self.counts_capacity = true;
        self
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send> Scan<'a, M> {
    /// The pages, of at most 1 MB each; the next one is asked for when it is wanted.
    ///
    /// # Errors
    /// What is refused before anything is asked for.
    pub fn pages(self) -> Result<BoxStream<'a, Result<Page<M>>>>
    where
        M: 'a,
    {
        let table = self.table;
        if let Some(error) = self.failed {
            return Err(error.model(M::MODEL.name()));
        }
        let is_split = self.segments != 1;
        if self.segments == 0
            || self.segments > MOST_SEGMENTS
            || (is_split && (self.start.is_some() || self.limit.is_some()))
        {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("a scan has 1 to 1,000,000 segments; with several, it has no start and no limit"));
        }
        let name = table.name()?;
        let mut placeholders = Placeholders::default();
        let filter = table.filter(self.filters, &mut placeholders)?;
        let has_filter = filter.is_some();
        let request = table
            .client
            .scan()
            .table_name(name)
            .set_index_name(self.index)
            .set_filter_expression(filter)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .consistent_read(self.is_consistent)
            .set_return_consumed_capacity(self.counts_capacity.then_some(ReturnConsumedCapacity::Total));
        let mut parts = Vec::new();
        for segment in 0..self.segments {
            let request = match is_split {
                true => request
                    .clone()
                    .set_segment(i32::try_from(segment).ok())
                    .set_total_segments(i32::try_from(self.segments).ok()),
                false => request.clone(),
            };
            let ask = move |start: Option<Item>, limit: Option<i32>| -> BoxFuture<'a, Result<RawPage>> {
                // DynamoDB counts before the filter: with one, a small limit would make many small pages
                let limit = limit.filter(|_| !has_filter);
                let request = request.clone().set_exclusive_start_key(start).set_limit(limit);
                Box::pin(async move {
                    let name = table.name()?;
                    let page = request.send().await.map_err(|error| from_sdk(error, M::MODEL, name))?;
                    Ok(RawPage {
                        items: page.items.unwrap_or_default(),
                        last_key: page.last_evaluated_key.filter(|key| !key.is_empty()),
                        scanned: page.scanned_count,
                        consumed_capacity: page.consumed_capacity,
                    })
                })
            };
            let (fields, start) = (self.fields.clone(), self.start.clone());
            parts.push(table.pages(Box::new(ask), Reading { fields, start, limit: self.limit }));
        }
        Ok(Box::pin(stream::select_all(parts)))
    }

    /// The items one after the other; the first error is the last.
    ///
    /// # Errors
    /// What is refused before anything is asked for.
    pub fn stream(self) -> Result<BoxStream<'a, Result<M>>>
    where
        M: 'a,
    {
        Ok(good_items_of(self.pages()?))
    }

    /// The items, each with its own result: one that is damaged does not hide the others.
    ///
    /// # Errors
    /// What concerns all of them.
    pub async fn each(self) -> Result<Vec<Result<M>>>
    where
        M: 'a,
    {
        items_of(self.pages()?).try_collect().await
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> IntoFuture for Scan<'a, M> {
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.stream()?.try_collect().await })
    }
}

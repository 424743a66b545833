//! All items of the table.

use std::future::IntoFuture;

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{TryStreamExt as _, stream};
use pii_core::{Error, ErrorKind, FieldSelection, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    DynamoTable,
    pages::{Asking, OpenedPage},
    query::attribute,
    read::{Options, Page, RawPage, all_items_of, each_item_of, good_items_of, read_options, read_results},
};
use crate::{error::from_sdk, item::Item, model::DynamoModel, placeholders::Placeholders};

/// DynamoDB's limit.
const MOST_SEGMENTS: u32 = 1_000_000;

/// A Scan; made by [`DynamoTable::scan`]. Awaited, it gives all items, page after page: the next one is asked for
/// while one is opened.
#[must_use = "nothing is read before this is awaited"]
pub struct Scan<'a, M> {
    table: &'a DynamoTable<M>,
    segments: u32,
    options: Options,
}

impl<'a, M: DynamoModel> Scan<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>) -> Self {
        Self { table, segments: 1, options: Options::default() }
    }

    /// The same read that opens nothing, with its table.
    pub(super) fn opening_nothing(self) -> (&'a DynamoTable<M>, Self) {
        let mut read = self;
        read.options.reading.fields = FieldSelection::Nothing;
        (read.table, read)
    }

    /// Reads an index of the table instead.
    pub fn index(mut self, name: &str) -> Self {
        self.options.index = Some(name.to_owned());
        self
    }

    /// Reads so many parts of the table at a time, in one task: as many pages are in memory, and on their
    /// way. Items come in no order, and there is neither a start nor a limit.
    pub fn segments(mut self, segments: u32) -> Self {
        self.segments = segments;
        self
    }

    read_options!();
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
        Ok(Box::pin(self.opened_pages(Asking::Wanted)?.map_ok(OpenedPage::each)))
    }

    fn opened_pages(self, asking: Asking) -> Result<BoxStream<'a, Result<OpenedPage<M>>>>
    where
        M: 'a,
    {
        let table = self.table;
        let mut options = self.options;
        if let Some(error) = options.failed.take() {
            return Err(error.model(M::MODEL.name()));
        }
        let is_split = self.segments != 1;
        if self.segments == 0
            || self.segments > MOST_SEGMENTS
            || (is_split && (options.reading.start.is_some() || options.reading.limit.is_some()))
        {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("a scan has 1 to 1,000,000 segments; with several, it has no start and no limit"));
        }
        let name = table.name()?;
        let mut placeholders = Placeholders::default();
        let filter = table.filter(std::mem::take(&mut options.filters), &mut placeholders)?;
        let has_filter = filter.is_some();
        let request = table
            .client
            .scan()
            .table_name(name)
            .set_index_name(options.index.take())
            .set_filter_expression(filter)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .consistent_read(options.is_consistent)
            .set_return_consumed_capacity(options.capacity());
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
            parts.push(table.opened_pages(Box::new(ask), asking, options.reading.clone()));
        }
        Ok(Box::pin(stream::select_all(parts)))
    }
}

read_results!(Scan);

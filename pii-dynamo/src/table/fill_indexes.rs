//! The job that fills in codes.

use std::{future::IntoFuture, ops::ControlFlow, sync::Arc};

use aws_sdk_dynamodb::{
    error::SdkError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{IndexEntry, IndexText, Result, index::IndexFillReport};
use serde::de::DeserializeOwned;

use super::{
    DynamoTable,
    index_pages::{key_of, lacks_codes, made_of, versions},
    outcome::Conditional as _,
};
use crate::{
    error::from_sdk,
    item::Item,
    model::DynamoModel,
    open,
    placeholders::{Placeholders, all},
    scope,
};

/// Items of a page, unless something else is said.
const PAGE_ITEMS: i32 = 500;

/// So many requests are on their way at a time.
const AT_ONCE: usize = 8;

/// Called after each page.
type Watch<'a> = Box<dyn FnMut(&IndexFillReport, Option<&Item>) -> ControlFlow<()> + Send + 'a>;

/// A job that fills in the codes of blind indexes; made by [`DynamoTable::fill_indexes`]. Awaited, it says what it
/// did, where rows are items.
///
/// It scans the table, opens the fields of the indexes of items that lack the code of a live version, or have
/// one and no value, and updates the attributes of the codes alone. Each update has the condition that the sealed
/// values are still those that were read: an item that someone else writes to meanwhile is looked at again.
/// Being given up, killed or run twice does no harm at any point.
///
/// Codes that are there and wrong are found by [`every_item`](Self::every_item). They come from programs that do
/// not know the index, and changed the value after its code was written: run it when the last of them is gone.
///
/// An item that gets its codes while [`clear_indexes`](DynamoTable::clear_indexes) erases its person may keep them:
/// let a job end, or stop it, before you erase.
///
/// # Errors
/// What is wrong with all items: [`Configuration`](pii_core::ErrorKind::Configuration) for a model without an index,
/// a view that lacks a field of one, or a cryptor without a key store; [`Mode`](pii_core::ErrorKind::Mode) for
/// fields that can't be opened; errors of keys and of DynamoDB. What concerns one item is in the report.
#[must_use = "nothing is done before this is awaited"]
pub struct FillIndexes<'a, M> {
    table: &'a DynamoTable<M>,
    reads_every: bool,
    page: i32,
    attempts: u32,
    start: Option<Item>,
    watch: Option<Watch<'a>>,
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync> FillIndexes<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>) -> Self {
        Self { table, reads_every: false, page: PAGE_ITEMS, attempts: 5, start: None, watch: None }
    }

    /// Opens every item, also those that have their codes, and corrects those that are wrong.
    pub fn every_item(mut self) -> Self {
        self.reads_every = true;
        self
    }

    /// How many items are read at a time; 500 otherwise, and never more than 1 MB. 0 counts as 1.
    pub fn page_items(mut self, items: u32) -> Self {
        self.page = i32::try_from(items.max(1)).unwrap_or(i32::MAX);
        self
    }

    /// How often an item is tried that others write to again and again; 5 times otherwise.
    pub fn attempts(mut self, times: u32) -> Self {
        self.attempts = times.max(1);
        self
    }

    /// Goes on after this key: the one that [`on_page`](Self::on_page) was told last.
    pub fn start_after(mut self, key: Item) -> Self {
        self.start = Some(key);
        self
    }

    /// Calls this after each page, with what was done up to then and the key after which the next page begins,
    /// if there is one. `ControlFlow::Break` stops the job.
    pub fn on_page(
        mut self,
        watch: impl FnMut(&IndexFillReport, Option<&Item>) -> ControlFlow<()> + Send + 'a,
    ) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    async fn run(self) -> Result<IndexFillReport> {
        let Self { table, reads_every, page: most, attempts, mut start, mut watch } = self;
        // what would be refused for every item, before any is asked for
        table.cryptor.index_each::<M>(&mut []).await.map_err(DynamoTable::<M>::failed)?;
        let mut report = IndexFillReport::default();
        loop {
            let page = table.stored_page(start, most, |_| Vec::new()).await?;
            let mut items = page.items;
            items.retain(|item| reads_every || lacks_codes::<M>(item));
            report.rows_read += items.len() as u64;
            for _ in 0..attempts {
                items = table.fill(items, &mut report).await?;
            }
            report.left += items.len() as u64;
            report.is_complete = page.last_key.is_none();
            let watched = watch.as_mut().map(|watch| watch(&report, page.last_key.as_ref()));
            match page.last_key.filter(|_| watched != Some(ControlFlow::Break(()))) {
                Some(key) => start = Some(key),
                None => return Ok(report),
            }
        }
    }
}

/// What became of an item.
enum Filled {
    Written,
    Gone,
    /// it holds something else now
    Changed(Item),
}

impl<M: DynamoModel + DeserializeOwned + Send + Sync> DynamoTable<M> {
    /// Tries once, and gives the items that have changed meanwhile, as they are now.
    async fn fill(&self, items: Vec<Item>, report: &mut IndexFillReport) -> Result<Vec<Item>> {
        let (mut models, mut stored) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            match self.decode(item.clone()) {
                Ok(model) => {
                    models.push(model);
                    stored.push(item);
                }
                Err(error) => report.fail(error.row(open::row_of(&item, M::MODEL))),
            }
        }
        let computed = self.cryptor.index_each(&mut models).await.map_err(Self::failed)?;
        let mut due = Vec::new();
        for (entries, item) in computed.into_iter().zip(stored) {
            match entries.map(|entries| codes_of(&entries)) {
                Err(error) => report.fail(error),
                Ok(codes) if has_codes::<M>(&item, &codes) => report.unchanged += 1,
                Ok(codes) => due.push((item, codes)),
            }
        }
        let filled = stream::iter(due.into_iter().map(|(item, codes)| self.fill_one(item, codes)));
        let filled: Vec<Filled> = filled.buffer_unordered(AT_ONCE).try_collect().await?;
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        let mut changed = Vec::new();
        for filled in filled {
            match filled {
                Filled::Written => report.filled += 1,
                Filled::Changed(item)
                    if self.is_of_entity(&item) && bounds.iter().all(|bound| bound.holds(&item)) =>
                {
                    report.retries += 1;
                    changed.push(item);
                }
                Filled::Gone | Filled::Changed(_) => report.gone += 1,
            }
        }
        Ok(changed)
    }

    async fn fill_one(&self, item: Item, codes: Vec<Option<Arc<str>>>) -> Result<Filled> {
        let name = self.name()?;
        let mut placeholders = Placeholders::default();
        let (mut set, mut removed) = (Vec::new(), Vec::new());
        for (version, code) in versions::<M>().into_iter().zip(codes) {
            let attribute = placeholders.name(version.attribute);
            match code {
                Some(code) => {
                    set.push(format!(
                        "{attribute} = {}",
                        placeholders.value(AttributeValue::S(code.to_string()))
                    ));
                }
                None => removed.push(attribute),
            }
        }
        let mut update = String::new();
        for (verb, parts) in [("SET ", set), (" REMOVE ", removed)] {
            if !parts.is_empty() {
                update.push_str(verb);
                update.push_str(&parts.join(", "));
            }
        }
        let key = key_of::<M>(&item);
        let mut conditions: Vec<String> =
            key.keys().map(|name| format!("attribute_exists({})", placeholders.name(name))).collect();
        for attribute in made_of::<M>() {
            let named = placeholders.name(attribute);
            conditions.push(match item.get(attribute) {
                Some(value) => format!("{named} = {}", placeholders.value(value.clone())),
                None => format!("attribute_not_exists({named})"),
            });
        }
        conditions.extend(self.is_entity(&mut placeholders));
        let request = self
            .client
            .update_item()
            .table_name(name)
            .set_key(Some(key.clone()))
            .update_expression(update.trim_start())
            .set_condition_expression(all(conditions))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Filled::Written),
            Err(SdkError::ServiceError(failed)) if failed.err().is_condition() => {
                let found = match failed.into_err().into_item().filter(|item| !item.is_empty()) {
                    Some(item) => Some(item),
                    // the answer does not have it
                    None => self.stored_item(key).await?,
                };
                Ok(found.map_or(Filled::Gone, Filled::Changed))
            }
            Err(error) => Err(from_sdk(error, M::MODEL, name).row(open::row_of(&item, M::MODEL))),
        }
    }
}

fn codes_of(entries: &[IndexEntry]) -> Vec<Option<Arc<str>>> {
    let code = |entry: &IndexEntry| match &entry.text {
        IndexText::Text(text) => Some(Arc::clone(text)),
        // nothing is left unchanged where all parts are open
        IndexText::Null | IndexText::Unchanged => None,
    };
    entries.iter().map(code).collect()
}

fn has_codes<M: DynamoModel>(item: &Item, codes: &[Option<Arc<str>>]) -> bool {
    versions::<M>().into_iter().zip(codes).all(|(version, code)| match (item.get(version.attribute), code) {
        (None, None) => true,
        (Some(AttributeValue::S(stored)), Some(code)) => **stored == **code,
        _ => false,
    })
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + Sync + 'a> IntoFuture for FillIndexes<'a, M> {
    type Output = Result<IndexFillReport>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! Items of one partition.

use std::future::IntoFuture;

use aws_sdk_dynamodb::{operation::query::builders::QueryFluentBuilder, types::AttributeValue};
use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt as _;
use pii_core::{Error, ErrorKind, FieldRole, FieldSelection, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    DynamoTable,
    pages::{Asking, OpenedPage},
    read::{
        Options, Page, RawPage, Reading, all_items_of, each_item_of, good_items_of, read_options,
        read_results,
    },
};
use crate::{
    error::{at_attribute, from_sdk},
    item::Item,
    model::DynamoModel,
    placeholders::{Placeholders, all},
    scope::bounds,
};

/// A Query; made by [`DynamoTable::query`]. Awaited, it gives all items, page after page: the next one is asked for
/// while one is opened.
#[must_use = "nothing is read before this is awaited"]
pub struct Query<'a, M> {
    table: &'a DynamoTable<M>,
    partition: Option<&'static str>,
    sort: Option<String>,
    value: Result<AttributeValue>,
    by_partition: Option<String>,
    sort_condition: Option<(Comparison, Vec<AttributeValue>)>,
    is_descending: bool,
    is_scoped: bool,
    options: Options,
}

#[derive(Clone, Copy)]
enum Comparison {
    Is,
    BeginsWith,
    Between,
    AtLeast,
    AtMost,
    After,
    Before,
}

impl<'a, M: DynamoModel> Query<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, partition: &impl Serialize) -> Self {
        let role = |role: FieldRole| {
            M::MODEL.fields().iter().find(|field| field.role() == role).map(|field| field.attribute())
        };
        Self {
            table,
            partition: role(FieldRole::PartitionKey).or_else(|| role(FieldRole::Id)),
            sort: role(FieldRole::SortKey).map(str::to_owned),
            value: attribute(partition),
            by_partition: None,
            sort_condition: None,
            is_descending: false,
            is_scoped: false,
            options: Options::default(),
        }
    }

    /// The same read that opens nothing, with its table.
    pub(super) fn opening_nothing(self) -> (&'a DynamoTable<M>, Self) {
        let mut read = self;
        read.options.reading.fields = FieldSelection::Nothing;
        (read.table, read)
    }

    /// Reads an index of the table instead, by this attribute of it.
    pub fn index(mut self, name: &str, partition: &str) -> Self {
        self.options.index = Some(name.to_owned());
        self.by_partition = Some(partition.to_owned());
        self.sort = None;
        self
    }

    /// Names the sort key's attribute of an index.
    pub fn sorted_by(mut self, attribute: &str) -> Self {
        self.sort = Some(attribute.to_owned());
        self
    }

    /// The sort key is this.
    pub fn sort_is(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::Is, [attribute(&value)])
    }

    /// The sort key begins with this.
    pub fn sort_begins_with(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::BeginsWith, [attribute(&value)])
    }

    /// The sort key is between these, or one of them.
    pub fn sort_between(self, from: impl Serialize, to: impl Serialize) -> Self {
        self.sorted(Comparison::Between, [attribute(&from), attribute(&to)])
    }

    /// The sort key is this or comes after it.
    pub fn sort_at_least(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::AtLeast, [attribute(&value)])
    }

    /// The sort key is this or comes before it.
    pub fn sort_at_most(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::AtMost, [attribute(&value)])
    }

    /// The sort key comes after this.
    pub fn sort_after(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::After, [attribute(&value)])
    }

    /// The sort key comes before this.
    pub fn sort_before(self, value: impl Serialize) -> Self {
        self.sorted(Comparison::Before, [attribute(&value)])
    }

    /// From the end of the sort key.
    pub fn descending(mut self) -> Self {
        self.is_descending = true;
        self
    }

    read_options!();

    /// Only items in the scope of the cryptor.
    pub(super) fn within_scope(mut self) -> Self {
        self.is_scoped = true;
        self
    }

    /// Opens these fields.
    pub(super) fn opening(mut self, fields: FieldSelection) -> Self {
        self.options.reading.fields = fields;
        self
    }

    fn sorted<const N: usize>(mut self, how: Comparison, values: [Result<AttributeValue>; N]) -> Self {
        match values.into_iter().collect() {
            Ok(values) => self.sort_condition = Some((how, values)),
            Err(error) => self.options.failed = self.options.failed.or(Some(error)),
        }
        self
    }

    /// The request without its page, and what is read.
    fn request(self) -> Result<(&'a DynamoTable<M>, QueryFluentBuilder, Reading)> {
        let table = self.table;
        let mut options = self.options;
        if let Some(error) = options.failed.take() {
            return Err(error.model(M::MODEL.name()));
        }
        let name = table.name()?;
        let partition = self.by_partition.as_deref().or(self.partition).ok_or_else(|| {
            Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model has no partition key")
        })?;
        let mut placeholders = Placeholders::default();
        let mut condition = vec![table.compares(&mut placeholders, partition, self.value?)?];
        if let Some((how, values)) = self.sort_condition {
            let sort = self.sort.as_deref().ok_or_else(|| {
                Error::new(ErrorKind::Configuration)
                    .model(M::MODEL.name())
                    .message("there is no sort key to compare")
                    .help("mark a field `#[pii(sort_key)]`; for an index, name its sort key with `sorted_by`")
            })?;
            table.check_comparable(sort)?;
            let sort = placeholders.name(sort);
            let values: Vec<_> = values.into_iter().map(|value| placeholders.value(value)).collect();
            let first = values.first().map_or("", String::as_str);
            condition.push(match how {
                Comparison::Is => format!("{sort} = {first}"),
                Comparison::BeginsWith => format!("begins_with({sort}, {first})"),
                Comparison::Between => format!("{sort} BETWEEN {}", values.join(" AND ")),
                Comparison::AtLeast => format!("{sort} >= {first}"),
                Comparison::AtMost => format!("{sort} <= {first}"),
                Comparison::After => format!("{sort} > {first}"),
                Comparison::Before => format!("{sort} < {first}"),
            });
        }
        let filter = table.filter(std::mem::take(&mut options.filters), &mut placeholders)?;
        let mut filters: Vec<String> = filter.into_iter().collect();
        if self.is_scoped {
            let bounds = bounds::<M>(&table.cryptor)?;
            filters.extend(bounds.iter().map(|bound| bound.condition(&mut placeholders)));
        }
        let filter = all(filters);
        let request = table
            .client
            .query()
            .table_name(name)
            .set_index_name(options.index.take())
            .set_key_condition_expression(all(condition))
            .set_filter_expression(filter)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .scan_index_forward(!self.is_descending)
            .consistent_read(options.is_consistent)
            .set_return_consumed_capacity(options.capacity());
        Ok((table, request, options.reading))
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send> Query<'a, M> {
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

    fn opened_pages(self, asking: Asking) -> Result<BoxStream<'a, Result<OpenedPage<M>>>> {
        let (table, request, reading) = self.request()?;
        let has_filter = request.get_filter_expression().is_some();
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
        Ok(table.opened_pages(Box::new(ask), asking, reading))
    }
}

read_results!(Query);

impl<M: DynamoModel> DynamoTable<M> {
    /// `#name = :value`, for an attribute that can be compared.
    fn compares(&self, placeholders: &mut Placeholders, name: &str, value: AttributeValue) -> Result<String> {
        self.check_comparable(name)?;
        let name = placeholders.name(name);
        Ok(format!("{name} = {}", placeholders.value(value)))
    }

    /// The filter of a query or scan: chosen attributes, and the entity.
    pub(super) fn filter(
        &self,
        filters: Vec<(String, AttributeValue)>,
        placeholders: &mut Placeholders,
    ) -> Result<Option<String>> {
        let filters = filters.into_iter().map(|(name, value)| self.compares(placeholders, &name, value));
        let mut filters = filters.collect::<Result<Vec<_>>>()?;
        filters.extend(self.is_entity(placeholders));
        Ok(all(filters))
    }

    fn check_comparable(&self, name: &str) -> Result<()> {
        let first = name.split(['.', '[']).next().unwrap_or(name);
        let sealed = M::MODEL.fields().iter().find(|field| field.is_sealed() && field.attribute() == first);
        match sealed {
            None => Ok(()),
            Some(_) => Err(at_attribute(
                Error::new(ErrorKind::Configuration)
                    .message(format!("the attribute `{first}` is sealed, and no sealed value equals another"))
                    .help("search by a blind index of the field, or by a plain attribute"),
                M::MODEL,
                first,
            )),
        }
    }
}

/// A value as an attribute.
pub(super) fn attribute(value: &impl Serialize) -> Result<AttributeValue> {
    serde_dynamo::to_attribute_value(value).map_err(|_| {
        Error::new(ErrorKind::Configuration).message("a value to compare is no attribute of an item")
    })
}

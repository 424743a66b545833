//! Items as they are stored, page by page, for jobs that go through a table.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{
    FieldRole, PiiModel, Result,
    index::{IndexSpec, IndexVersion},
};

use super::DynamoTable;
use crate::{
    error::from_sdk,
    item::Item,
    model::DynamoModel,
    placeholders::{Placeholders, all},
    scope,
};

/// A page of items of this entity and in the scope of the cryptor, and where the next one begins.
pub(super) struct StoredPage {
    pub(super) items: Vec<Item>,
    pub(super) last_key: Option<Item>,
}

impl<M: DynamoModel> DynamoTable<M> {
    /// Reads the next items, `most` of the table at most, and gives those for which the conditions hold. What was
    /// written last is read.
    pub(super) async fn stored_page(
        &self,
        start: Option<Item>,
        most: i32,
        conditions: impl FnOnce(&mut Placeholders) -> Vec<String>,
    ) -> Result<StoredPage> {
        let name = self.name()?;
        let mut placeholders = Placeholders::default();
        let mut filters = conditions(&mut placeholders);
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        filters.extend(bounds.iter().map(|bound| bound.condition(&mut placeholders)));
        filters.extend(self.is_entity(&mut placeholders));
        let filter = all(filters);
        let request = self
            .client
            .scan()
            .table_name(name)
            .consistent_read(true)
            .limit(most)
            .set_exclusive_start_key(start)
            .set_filter_expression(filter)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values());
        let page = request.send().await.map_err(|error| from_sdk(error, M::MODEL, name))?;
        Ok(StoredPage {
            items: page.items.unwrap_or_default(),
            last_key: page.last_evaluated_key.filter(|key| !key.is_empty()),
        })
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// The item that has this key now.
    pub(super) async fn stored_item(&self, key: Item) -> Result<Option<Item>> {
        let name = self.name()?;
        let request = self.client.get_item().table_name(name).consistent_read(true).set_key(Some(key));
        let found = request.send().await.map_err(|error| from_sdk(error, M::MODEL, name))?;
        Ok(found.item)
    }
}

/// The key of an item.
pub(super) fn key_of<M: PiiModel>(item: &Item) -> Item {
    let names = M::MODEL.fields().iter().filter(|field| field.role().is_id()).map(|field| field.attribute());
    names.filter_map(|name| Some((name.to_owned(), item.get(name)?.clone()))).collect()
}

/// All versions of all indexes, in the order in which the cryptor gives entries.
pub(super) fn versions<M: PiiModel>() -> Vec<&'static IndexVersion> {
    IndexSpec::all_versions(M::MODEL).collect()
}

/// What the codes of an item are computed of, beside the key: the attributes of the parts, and of the encryption
/// context.
pub(super) fn made_of<M: PiiModel>() -> Vec<&'static str> {
    let parts = M::MODEL.indexes().iter().flat_map(|index| index.parts());
    let parts = parts.filter_map(|part| M::MODEL.field(part.field)).map(|field| field.attribute());
    let context = M::MODEL.context_fields().filter(|field| field.role() == FieldRole::Data);
    let mut names: Vec<_> = parts.chain(context.map(|field| field.attribute())).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether an item lacks the code of a value, or has one without a value.
pub(super) fn lacks_codes<M: PiiModel>(item: &Item) -> bool {
    let is_there = |name: &str| item.get(name).is_some_and(|value| !matches!(value, AttributeValue::Null(_)));
    M::MODEL.indexes().iter().any(|index| {
        let mut parts = index.parts().iter().filter_map(|part| M::MODEL.field(part.field));
        let has_value = parts.all(|field| is_there(field.attribute()));
        index.versions().iter().any(|version| is_there(version.attribute) != has_value)
    })
}

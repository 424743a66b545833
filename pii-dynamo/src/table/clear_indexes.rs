//! Codes that are erased with the items' keys.

use std::future::IntoFuture;

use aws_sdk_dynamodb::error::SdkError;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{EncryptionContext, Error, ErrorKind, Result};

use super::{
    DynamoTable,
    index_pages::{key_of, versions},
    outcome::Conditional as _,
};
use crate::{
    error::from_sdk,
    item::Item,
    model::DynamoModel,
    open,
    placeholders::{Placeholders, all},
    scope::{self, Bounds},
};

/// Items that are read at a time.
const PAGE_ITEMS: i32 = 1000;

/// So many requests are on their way at a time.
const AT_ONCE: usize = 8;

/// A scan that removes the attributes of blind indexes; made by [`DynamoTable::clear_indexes`]. Awaited, it says from
/// how many items.
///
/// A code under a destroyed index key can't be computed any more, but the index of a person's item is under the
/// key of the tenant, and one with `scope = "global"` under that of all: these codes still tell who has the
/// value, and are erased by this alone. Where one tenant is erased, it also hides which of its items had equal
/// values.
///
/// The items are those whose context has the pairs, whatever else it has: attributes of the model are compared
/// with them. The attributes of all live versions are removed; remove those of retired versions first, which the
/// model does not know. Run it after the shred, when no cache holds the keys any more: until then a program may
/// write a new item for the person. If it is given up or fails, make it again.
///
/// # Errors
/// [`ErrorKind::InvalidContext`] for no pairs, or for one that no item of the model has;
/// [`ErrorKind::Configuration`] for a model without an index, and for a pair that is made of a field by an
/// expression, so that no attribute holds it; errors of DynamoDB.
#[must_use = "nothing is written before this is awaited"]
pub struct ClearIndexes<'a, M> {
    table: &'a DynamoTable<M>,
    context: Result<EncryptionContext>,
}

impl<'a, M: DynamoModel + Sync> ClearIndexes<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, context: Result<EncryptionContext>) -> Self {
        Self { table, context }
    }

    async fn run(self) -> Result<u64> {
        let Self { table, context } = self;
        let context = context.map_err(DynamoTable::<M>::failed)?;
        if M::MODEL.indexes().is_empty() {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model has no blind index")
                .help("write `#[pii(blind_index)]` on a sealed field"));
        }
        let pairs = scope::of_pairs::<M>(&context)?;
        let (mut start, mut cleared) = (None, 0);
        loop {
            let page = table
                .stored_page(start, PAGE_ITEMS, |placeholders| conditions::<M>(&pairs, placeholders))
                .await?;
            let requests = page.items.into_iter().map(|item| table.clear_one(item, &pairs));
            let done: Vec<bool> = stream::iter(requests).buffer_unordered(AT_ONCE).try_collect().await?;
            cleared += done.into_iter().filter(|is_cleared| *is_cleared).count() as u64;
            match page.last_key {
                Some(key) => start = Some(key),
                None => return Ok(cleared),
            }
        }
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// Whether the item was still one of the context.
    async fn clear_one(&self, item: Item, pairs: &[Bounds<'_>]) -> Result<bool> {
        let name = self.name()?;
        let mut placeholders = Placeholders::default();
        let removed: Vec<_> =
            versions::<M>().into_iter().map(|version| placeholders.name(version.attribute)).collect();
        let mut conditions = conditions::<M>(pairs, &mut placeholders);
        conditions.extend(self.is_entity(&mut placeholders));
        let request = self
            .client
            .update_item()
            .table_name(name)
            .set_key(Some(key_of::<M>(&item)))
            .update_expression(format!("REMOVE {}", removed.join(", ")))
            .set_condition_expression(all(conditions))
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values());
        match request.send().await {
            Ok(_) => Ok(true),
            Err(SdkError::ServiceError(failed)) if failed.err().is_condition() => Ok(false),
            Err(error) => Err(from_sdk(error, M::MODEL, name).row(open::row_of(&item, M::MODEL))),
        }
    }
}

/// That an item is one of the context and has a code.
fn conditions<M: DynamoModel>(pairs: &[Bounds<'_>], placeholders: &mut Placeholders) -> Vec<String> {
    let mut conditions: Vec<_> = pairs.iter().map(|pair| pair.condition(placeholders)).collect();
    let codes = versions::<M>().into_iter();
    let codes: Vec<_> =
        codes.map(|version| format!("attribute_exists({})", placeholders.name(version.attribute))).collect();
    conditions.push(format!("({})", codes.join(" OR ")));
    conditions
}

impl<'a, M: DynamoModel + Sync + 'a> IntoFuture for ClearIndexes<'a, M> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! Several items as they are at one moment.

use std::future::IntoFuture;

use aws_sdk_dynamodb::{
    error::SdkError,
    operation::transact_get_items::TransactGetItemsError,
    types::{Get, TransactGetItem},
};
use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::DynamoTable;
use crate::{
    error::{from_code, from_sdk},
    item::Item,
    key::Key,
    model::DynamoModel,
    transaction::{self, MAX_ACTIONS},
};

/// A TransactGetItems; made by [`DynamoTable::get_together`].
#[must_use = "nothing is read before this is awaited"]
pub struct GetTogether<'a, M: DynamoModel> {
    table: &'a DynamoTable<M>,
    ids: Vec<M::Id>,
    fields: FieldSelection,
}

impl<'a, M: DynamoModel> GetTogether<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, ids: Vec<M::Id>) -> Self {
        Self { table, ids, fields: FieldSelection::Nothing }
    }

    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }
}

impl<M: DynamoModel + DeserializeOwned + Send> GetTogether<'_, M> {
    /// The items in the order of the keys, each with its own result: one that is damaged does not hide the
    /// others.
    ///
    /// # Errors
    /// What concerns all of them.
    pub async fn each(self) -> Result<Vec<Result<Option<M>>>> {
        let Self { table, ids, fields } = self;
        let name = table.name()?;
        if ids.len() > MAX_ACTIONS {
            return Err(transaction::too_many(ids.len()).model(M::MODEL.name()));
        }
        let keys = ids.iter().map(Key::of::<M>).collect::<Result<Vec<_>>>()?;
        for (index, key) in keys.iter().enumerate() {
            if keys.iter().take(index).any(|other| other.attributes == key.attributes) {
                return Err(transaction::twice(name).model(M::MODEL.name()).row(&key.row));
            }
        }
        table.check(&fields).await?;
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let found = table.items_together(&keys).await?;
        let mut items = Vec::with_capacity(found.len());
        let mut are_there = Vec::with_capacity(found.len());
        for (item, key) in found.into_iter().zip(&keys) {
            let item = item.filter(|item| table.is_of_entity(item));
            if item.as_ref().is_some_and(|item| !key.is_of(item)) {
                return Err(Error::new(ErrorKind::Integrity)
                    .model(M::MODEL.name())
                    .row(&key.row)
                    .message("DynamoDB gave an item with another key"));
            }
            are_there.push(item.is_some());
            items.extend(item);
        }
        let mut opened = table.open_items(items, &fields).await?.into_iter();
        let each = are_there.into_iter().map(|is_there| match is_there {
            true => opened.next().transpose(),
            false => Ok(None),
        });
        Ok(each.collect())
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// One item or none for each key.
    async fn items_together(&self, keys: &[Key]) -> Result<Vec<Option<Item>>> {
        let name = self.name()?;
        let mut request = self.client.transact_get_items();
        for key in keys {
            let get = Get::builder().table_name(name).set_key(Some(key.clone().into_item())).build();
            let get = get.map_err(|error| transaction::not_built(error).model(M::MODEL.name()))?;
            request = request.transact_items(TransactGetItem::builder().get(get).build());
        }
        let found = request.send().await.map_err(|error| self.not_read(error, keys))?;
        let items: Vec<_> =
            found.responses.unwrap_or_default().into_iter().map(|response| response.item).collect();
        if items.len() != keys.len() {
            return Err(Error::new(ErrorKind::Database)
                .model(M::MODEL.name())
                .message(format!("DynamoDB did not answer for each item of the table `{name}`")));
        }
        // some servers give an item without attributes for one that does not exist
        Ok(items.into_iter().map(|item| item.filter(|item| !item.is_empty())).collect())
    }

    /// Why nothing was read: the row whose fault it is, where the answer names one.
    fn not_read(&self, error: SdkError<TransactGetItemsError>, keys: &[Key]) -> Error {
        let name = self.name().unwrap_or_default();
        let reasons = match error.as_service_error() {
            Some(TransactGetItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            _ => &[],
        };
        let mut reasons = reasons.iter().zip(keys);
        let failed = reasons.find_map(|(reason, key)| Some((transaction::code(reason)?, key)));
        match failed {
            Some((code, key)) => from_code(code, name).model(M::MODEL.name()).row(&key.row).source(error),
            None => from_sdk(error, M::MODEL, name),
        }
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> IntoFuture for GetTogether<'a, M> {
    type Output = Result<Vec<Option<M>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.each().await?.into_iter().collect() })
    }
}

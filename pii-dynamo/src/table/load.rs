//! From items of the table to models.

use pii_core::{FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::DynamoTable;
use crate::{item::Item, model::DynamoModel, open};

impl<M: DynamoModel> DynamoTable<M> {
    /// Whether an item is one of this model, where several share the table.
    pub(super) fn is_of_entity(&self, item: &Item) -> bool {
        open::is_of_entity(item, M::MODEL, self.entity.as_deref())
    }

    /// The model of an item of this entity.
    pub(super) fn decode(&self, mut item: Item) -> Result<M>
    where
        M: DeserializeOwned,
    {
        open::decode(&mut item, self.entity.as_deref())
    }
}

impl<M: DynamoModel + Send> DynamoTable<M> {
    /// Refuses what would be refused for every item, before any is asked for.
    pub(super) async fn check(&self, fields: &FieldSelection) -> Result<()> {
        open::check::<M>(&self.cryptor, fields).await
    }

    /// Opens chosen fields; all values get their place, and stored plaintext meets its policy.
    pub(super) async fn admit(&self, models: &mut [M], fields: &FieldSelection) -> Result<()> {
        self.cryptor.open_each(models, fields).await.map_err(Self::failed)?.into_iter().collect()
    }
}

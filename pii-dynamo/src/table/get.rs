//! One item by its key.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::DynamoTable;
use crate::{error::from_sdk, key::Key, model::DynamoModel};

/// A GetItem; made by [`DynamoTable::get`].
#[must_use = "nothing is read before this is awaited"]
pub struct Get<'a, M: DynamoModel> {
    table: &'a DynamoTable<M>,
    id: M::Id,
    fields: FieldSelection,
    is_consistent: bool,
}

impl<'a, M: DynamoModel> Get<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, id: M::Id) -> Self {
        Self { table, id, fields: FieldSelection::Nothing, is_consistent: false }
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

    /// Reads what was written last, instead of what a replica may still have.
    pub fn consistent(mut self) -> Self {
        self.is_consistent = true;
        self
    }

    /// Gives `None` if there is no such item, instead of an error.
    pub fn optional(self) -> GetOptional<'a, M> {
        GetOptional(self)
    }

    /// The same read that opens nothing, with its table.
    pub(super) fn opening_nothing(self) -> (&'a DynamoTable<M>, Self) {
        (self.table, Self { fields: FieldSelection::Nothing, ..self })
    }
}

impl<M: DynamoModel + DeserializeOwned + Send> Get<'_, M> {
    /// The item, or the error that it does not exist.
    async fn run(self) -> Result<Result<M>> {
        let Self { table, id, fields, is_consistent } = self;
        let name = table.name()?;
        let key = Key::of::<M>(&id)?;
        table.check(&fields).await?;
        let request = table.client.get_item().table_name(name).consistent_read(is_consistent);
        let request = request.set_key(Some(key.clone().into_item()));
        let found = request.send().await.map_err(|error| from_sdk(error, M::MODEL, name))?;
        let Some(item) = found.item.filter(|item| table.is_of_entity(item)) else {
            return Ok(Err(Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()).row(&key.row)));
        };
        let mut model = table.decode(item).map_err(|error| error.row(&key.row))?;
        if Key::of_model(&model)?.row != key.row {
            return Err(Error::new(ErrorKind::Integrity)
                .model(M::MODEL.name())
                .row(key.row)
                .message("DynamoDB gave an item with another key"));
        }
        table.admit(std::slice::from_mut(&mut model), &fields).await?;
        Ok(Ok(model))
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send> IntoFuture for Get<'a, M> {
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await? })
    }
}

/// A GetItem of an item that may not exist; made by [`Get::optional`].
#[must_use = "nothing is read before this is awaited"]
pub struct GetOptional<'a, M: DynamoModel>(Get<'a, M>);

impl<'a, M: DynamoModel> GetOptional<'a, M> {
    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(self) -> Self {
        Self(self.0.decrypt_pii())
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self(self.0.decrypt_fields(names))
    }

    /// Reads what was written last, instead of what a replica may still have.
    pub fn consistent(self) -> Self {
        Self(self.0.consistent())
    }

    /// The same read that opens nothing, with its table.
    pub(super) fn opening_nothing(self) -> (&'a DynamoTable<M>, Self) {
        let (table, read) = self.0.opening_nothing();
        (table, Self(read))
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send> IntoFuture for GetOptional<'a, M> {
    type Output = Result<Option<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.0.run().await?.ok()) })
    }
}

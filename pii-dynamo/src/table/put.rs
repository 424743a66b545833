//! A whole item.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::Result;
use serde::Serialize;

use super::DynamoTable;
use crate::{error::from_sdk, item::to_item, model::DynamoModel};

/// A PutItem; made by [`DynamoTable::put`].
#[must_use = "nothing is written before this is awaited"]
pub struct Put<'a, M> {
    table: &'a DynamoTable<M>,
    model: &'a M,
}

impl<'a, M> Put<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, model: &'a M) -> Self {
        Self { table, model }
    }
}

impl<M: DynamoModel + Serialize + Sync> Put<'_, M> {
    async fn run(self) -> Result<()> {
        let Self { table, model } = self;
        let name = table.name()?;
        let sealed = table.cryptor.sealed(model).await.map_err(|error| error.model(M::MODEL.name()))?;
        let item = to_item(&sealed)?;
        let request = table.client.put_item().table_name(name).set_item(Some(item));
        request.send().await.map_err(|error| from_sdk(error, M::MODEL, name))?;
        Ok(())
    }
}

impl<'a, M: DynamoModel + Serialize + Sync> IntoFuture for Put<'a, M> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

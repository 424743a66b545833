//! A whole item.

use std::future::IntoFuture;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_core::future::BoxFuture;
use pii_core::Result;
use serde::Serialize;

use super::{DynamoTable, Write};
use crate::model::DynamoModel;

/// A PutItem; made by [`DynamoTable::put`].
#[must_use = "nothing is written before this is awaited"]
pub struct Put<'a, M> {
    table: &'a DynamoTable<M>,
    model: &'a M,
    if_absent: bool,
}

impl<'a, M> Put<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, model: &'a M) -> Self {
        Self { table, model, if_absent: false }
    }

    /// Writes a new item only: that one has the key already is [`ErrorKind::Conflict`](pii_core::ErrorKind).
    /// A version is stored as the model has it.
    pub fn if_absent(mut self) -> Self {
        self.if_absent = true;
        self
    }
}

impl<M: DynamoModel + Serialize + Sync> Put<'_, M> {
    async fn run(self) -> Result<()> {
        let Self { table, model, if_absent } = self;
        let name = table.name()?;
        let Write { key, item, condition, placeholders, wants, .. } =
            table.write_put(model, if_absent).await?;
        let request = table
            .client
            .put_item()
            .table_name(name)
            .set_item(item)
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        table.outcome(request.send().await, key, &wants).await
    }
}

impl<'a, M: DynamoModel + Serialize + Sync> IntoFuture for Put<'a, M> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

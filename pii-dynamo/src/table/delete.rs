//! An item that goes.

use std::future::IntoFuture;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_core::future::BoxFuture;
use pii_core::Result;

use super::{DynamoTable, Write};
use crate::model::DynamoModel;

/// A DeleteItem; made by [`DynamoTable::delete`].
#[must_use = "nothing is deleted before this is awaited"]
pub struct Delete<'a, M: DynamoModel> {
    table: &'a DynamoTable<M>,
    id: M::Id,
}

impl<'a, M: DynamoModel> Delete<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, id: M::Id) -> Self {
        Self { table, id }
    }

    async fn run(self) -> Result<()> {
        let Self { table, id } = self;
        let name = table.name()?;
        let Write { key, condition, placeholders, wants, .. } = table.write_delete(&id)?;
        let request = table
            .client
            .delete_item()
            .table_name(name)
            .set_key(Some(key.clone().into_item()))
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        table.outcome(request.send().await, key, &wants).await
    }
}

impl<'a, M: DynamoModel> IntoFuture for Delete<'a, M> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

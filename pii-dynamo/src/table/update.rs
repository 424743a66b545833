//! Changed attributes of an item.

use std::future::IntoFuture;

use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use futures_core::future::BoxFuture;
use pii_core::Result;
use serde::Serialize;

use super::{DynamoTable, Write};
use crate::model::DynamoModel;

/// An UpdateItem; made by [`DynamoTable::update`].
#[must_use = "nothing is updated before this is awaited"]
pub struct Update<'a, M> {
    table: &'a DynamoTable<M>,
    model: &'a M,
    fields: Option<Vec<String>>,
}

impl<'a, M> Update<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, model: &'a M) -> Self {
        Self { table, model, fields: None }
    }

    /// Writes these fields only, plain or sealed, by their stable names. The others stay as they are
    /// stored, whatever the model has there. Of the fields of a blind index over several, all are named or none.
    ///
    /// ```no_run
    /// # use pii::{DynamoTable, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
    /// # #[pii(name = "customer", table = "customers")]
    /// # struct Customer { #[pii(partition_key)] id: String, city: String, email: EncryptedStr }
    /// # async fn run(customers: DynamoTable<Customer>, mut ada: Customer) -> pii::Result<()> {
    /// ada.email.set("ada@example.org");
    /// customers.update(&ada).fields(["email"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = Some(names.into_iter().map(Into::into).collect());
        self
    }
}

impl<M: DynamoModel + Serialize + Sync> Update<'_, M> {
    async fn run(self) -> Result<()> {
        let Self { table, model, fields } = self;
        let name = table.name()?;
        let Write { key, update, condition, placeholders, wants, .. } =
            table.write_update(model, fields.as_deref()).await?;
        let request = table
            .client
            .update_item()
            .table_name(name)
            .set_key(Some(key.clone().into_item()))
            .set_update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(placeholders.names())
            .set_expression_attribute_values(placeholders.values())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        table.outcome(request.send().await, key, &wants).await
    }
}

impl<'a, M: DynamoModel + Serialize + Sync> IntoFuture for Update<'a, M> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

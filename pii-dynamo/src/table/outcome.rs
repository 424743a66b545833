//! What became of a request that writes one item.

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError, update_item::UpdateItemError},
};
use pii_core::Result;

use super::{DynamoTable, Wants};
use crate::{error::from_sdk, item::Item, key::Key, model::DynamoModel};

/// The error of an operation that has a condition.
pub(super) trait Conditional:
    ProvideErrorMetadata + std::error::Error + Send + Sync + 'static
{
    /// Whether the condition does not hold.
    fn is_condition(&self) -> bool;

    /// The item for which it does not, if the answer has it.
    fn into_item(self) -> Option<Item>;
}

macro_rules! conditional {
    ($($error:ident),*) => {$(
        impl Conditional for $error {
            fn is_condition(&self) -> bool {
                self.is_conditional_check_failed_exception()
            }

            fn into_item(self) -> Option<Item> {
                match self {
                    Self::ConditionalCheckFailedException(failed) => failed.item,
                    _ => None,
                }
            }
        }
    )*};
}
conditional!(PutItemError, UpdateItemError, DeleteItemError);

impl<M: DynamoModel> DynamoTable<M> {
    /// The result of a request, or why its condition does not hold.
    pub(super) async fn outcome<T, E: Conditional>(
        &self,
        sent: Result<T, SdkError<E>>,
        key: Key,
        wants: &Wants,
    ) -> Result<()> {
        match sent {
            Ok(_) => Ok(()),
            Err(SdkError::ServiceError(failed)) if failed.err().is_condition() => {
                Err(self.why_not(wants, &key, failed.into_err().into_item()).await)
            }
            Err(error) => Err(from_sdk(error, M::MODEL, self.name()?).row(key.row)),
        }
    }
}

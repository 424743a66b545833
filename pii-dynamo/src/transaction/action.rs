//! One write of a transaction, whatever its model.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{
        ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure::AllOld, TransactWriteItem, Update,
    },
};
use futures_core::future::BoxFuture;
use pii_core::{Error, ModelSpec, Result};

use crate::{
    item::Item,
    key::Key,
    model::DynamoModel,
    table::{DynamoTable, Wants, Write},
};

#[derive(Clone, Copy)]
pub(super) enum Verb {
    Put,
    Update,
    Delete,
    Check,
}

pub(super) struct Action<'a> {
    pub(super) verb: Verb,
    pub(super) table: &'a dyn AnyTable,
    /// known before anything is sealed
    pub(super) key: Result<Key>,
    pub(super) write: BoxFuture<'a, Result<Write>>,
}

/// A table of any model.
pub(super) trait AnyTable: Send + Sync {
    fn name(&self) -> Result<&str>;

    fn model(&self) -> &'static ModelSpec;

    /// Why a condition does not hold.
    fn why_not<'a>(&'a self, wants: &'a Wants, key: &'a Key, found: Option<Item>) -> BoxFuture<'a, Error>;
}

impl<M: DynamoModel> AnyTable for DynamoTable<M> {
    fn name(&self) -> Result<&str> {
        Self::name(self)
    }

    fn model(&self) -> &'static ModelSpec {
        M::MODEL
    }

    fn why_not<'a>(&'a self, wants: &'a Wants, key: &'a Key, found: Option<Item>) -> BoxFuture<'a, Error> {
        Box::pin(Self::why_not(self, wants, key, found))
    }
}

impl Verb {
    /// As a request takes it, and what its condition wants.
    pub(super) fn part(self, table: &str, write: Write) -> Result<(TransactWriteItem, Wants), BuildError> {
        let Write { key, item, update, condition, placeholders, wants } = write;
        let (key, names, values) = (Some(key.into_item()), placeholders.names(), placeholders.values());
        let part = TransactWriteItem::builder();
        let part = match self {
            Self::Put => part.put(
                Put::builder()
                    .table_name(table)
                    .set_item(item)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(AllOld)
                    .build()?,
            ),
            Self::Update => part.update(
                Update::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_update_expression(update)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(AllOld)
                    .build()?,
            ),
            Self::Delete => part.delete(
                Delete::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(AllOld)
                    .build()?,
            ),
            Self::Check => part.condition_check(
                ConditionCheck::builder()
                    .table_name(table)
                    .set_key(key)
                    .set_condition_expression(condition)
                    .set_expression_attribute_names(names)
                    .set_expression_attribute_values(values)
                    .return_values_on_condition_check_failure(AllOld)
                    .build()?,
            ),
        };
        Ok((part.build(), wants))
    }
}

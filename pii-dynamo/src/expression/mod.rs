//! What expressions of DynamoDB do with sealed attributes: the Developer Guide, "Using expressions".

mod check;
mod tokens;
mod uses;

pub(crate) use check::{check_condition, check_update, is_sealed, not_sealed, sealed_fields_of};

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// What the placeholders of a request stand for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Meanings<'a> {
    pub(crate) names: Option<&'a HashMap<String, String>>,
    pub(crate) values: Option<&'a HashMap<String, AttributeValue>>,
}

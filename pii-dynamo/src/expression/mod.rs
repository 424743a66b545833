//! What expressions of DynamoDB do with sealed attributes: the Developer Guide, "Using expressions". One that
//! can't be read is refused, for it might name anything.

mod condition;
mod guarded;
mod parse;
mod path;
mod target;
#[cfg(test)]
mod tests;
mod tokens;
mod update;
mod value;

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, Result};

pub(crate) use {condition::check_condition, guarded::Guarded, update::check_update};

/// What the placeholders of a request stand for.
#[derive(Clone, Copy, Default)]
pub(crate) struct Meanings<'a> {
    pub(crate) names: Option<&'a HashMap<String, String>>,
    pub(crate) values: Option<&'a HashMap<String, AttributeValue>>,
}

impl<'a> Meanings<'a> {
    /// What `#name` stands for.
    fn name(&self, placeholder: &str) -> Result<&'a str> {
        let found = self.names.and_then(|names| names.get(placeholder)).map(String::as_str);
        found.ok_or_else(|| {
            unreadable("an expression has a `#name` that stands for nothing")
                .help("give every `#name` of the expression to `expression_attribute_names`")
        })
    }

    /// What `:value` stands for.
    fn value(&self, placeholder: &str) -> Result<&'a AttributeValue> {
        let found = self.values.and_then(|values| values.get(placeholder));
        found.ok_or_else(|| {
            unreadable("an expression has a `:value` that stands for nothing")
                .help("give every `:value` of the expression to `expression_attribute_values`")
        })
    }
}

/// The text is not shown: a program that writes values into it, instead of placeholders, would see them in its
/// logs.
fn unreadable(message: &str) -> Error {
    Error::new(ErrorKind::Configuration).message(message)
}

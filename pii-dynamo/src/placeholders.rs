//! Expressions that this library makes itself, with placeholders for all names and values.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::size;

/// The placeholders of one request, and what they stand for.
#[derive(Default)]
pub(crate) struct Placeholders {
    names: Vec<String>,
    values: Vec<AttributeValue>,
}

impl Placeholders {
    /// A placeholder for the name of an attribute.
    pub(crate) fn name(&mut self, name: &str) -> String {
        let index = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        format!("#pii{index}")
    }

    /// A placeholder for a value.
    pub(crate) fn value(&mut self, value: AttributeValue) -> String {
        self.values.push(value);
        format!(":pii{}", self.values.len() - 1)
    }

    /// The bytes of the names and values, as DynamoDB counts them.
    pub(crate) fn bytes(&self) -> usize {
        let names = self.names.iter().map(String::len);
        names.chain(self.values.iter().map(size::of_value)).sum()
    }

    /// The names as requests take them, if there are any.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        let names = self.names.iter().enumerate();
        (!self.names.is_empty())
            .then(|| names.map(|(index, name)| (format!("#pii{index}"), name.clone())).collect())
    }

    /// The values as requests take them, if there are any.
    pub(crate) fn values(self) -> Option<HashMap<String, AttributeValue>> {
        let values = self.values.into_iter().enumerate();
        let values: HashMap<_, _> = values.map(|(index, value)| (format!(":pii{index}"), value)).collect();
        (!values.is_empty()).then_some(values)
    }
}

/// `a AND b`, if there is anything.
pub(crate) fn all(conditions: Vec<String>) -> Option<String> {
    (!conditions.is_empty()).then(|| conditions.join(" AND "))
}

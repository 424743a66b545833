//! The key of an item.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, Result, RowWriter};
use serde::Serialize;

use crate::{error, item::Item, model::DynamoModel};

/// Where a model writes the attributes of a key. Generated code calls one method for each.
#[derive(Default)]
pub struct KeyWriter {
    attributes: Vec<(&'static str, AttributeValue)>,
    failed: Option<&'static str>,
}

impl KeyWriter {
    /// Writes an attribute, which must be a text, a number or bytes.
    pub fn attribute<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) {
        match serde_dynamo::to_attribute_value::<_, AttributeValue>(value) {
            Ok(value) if is_key(&value) => self.attributes.push((name, value)),
            _ => self.failed = self.failed.or(Some(name)),
        }
    }
}

/// DynamoDB takes no empty text and no empty bytes in a key.
fn is_key(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::S(text) => !text.is_empty(),
        AttributeValue::B(bytes) => !bytes.as_ref().is_empty(),
        AttributeValue::N(_) => true,
        _ => false,
    }
}

/// The key of one item, as attributes and as the id that values are bound to.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) attributes: Vec<(&'static str, AttributeValue)>,
    pub(crate) row: RowWriter,
}

impl Key {
    pub(crate) fn of<M: DynamoModel>(id: &M::Id) -> Result<Self> {
        Self::written::<M>(|out| M::write_key(id, out), |out| M::write_id(id, out))
    }

    pub(crate) fn of_model<M: DynamoModel>(model: &M) -> Result<Self> {
        Self::written::<M>(|out| model.write_own_key(out), |out| model.write_own_id(out))
    }

    fn written<M: DynamoModel>(
        write_key: impl FnOnce(&mut KeyWriter),
        write_id: impl FnOnce(&mut RowWriter),
    ) -> Result<Self> {
        let (mut key, mut row) = (KeyWriter::default(), RowWriter::default());
        write_key(&mut key);
        write_id(&mut row);
        match key.failed {
            None => Ok(Self { attributes: key.attributes, row }),
            Some(name) => Err(error::at_attribute(
                Error::new(ErrorKind::Configuration)
                    .message("a key must be a text, a number or bytes, and not empty"),
                M::MODEL,
                name,
            )),
        }
    }

    /// As requests take it.
    pub(crate) fn into_item(self) -> Item {
        self.attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Whether this is the key of an item.
    pub(crate) fn is_of(&self, item: &Item) -> bool {
        self.attributes.iter().all(|(name, value)| item.get(*name) == Some(value))
    }

    /// The name of the partition key's attribute.
    pub(crate) fn partition_name(&self) -> &'static str {
        self.attributes.first().map_or("", |(name, _)| name)
    }
}

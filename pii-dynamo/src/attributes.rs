//! The attributes of an item for serde: they are taken out of the item one after the other, without a copy of it.

use std::{cell::Cell, collections::hash_map::IterMut, iter::Enumerate};

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{
    de::{
        DeserializeSeed, Deserializer, Error as _, IntoDeserializer as _, MapAccess, Visitor,
        value::StrDeserializer,
    },
    forward_to_deserialize_any,
};
use serde_dynamo::Error;

use crate::item::Item;

/// Where reading stopped: the position of an attribute in the item, and what was there.
pub(crate) type Stopped = Option<(usize, &'static str)>;

/// Reads an item, whose values are gone afterwards; its names stay.
pub(crate) struct Attributes<'a> {
    item: &'a mut Item,
    stopped: &'a Cell<Stopped>,
}

impl<'a> Attributes<'a> {
    /// `stopped` is the attribute that could not be read, if it was the value of one.
    pub(crate) fn new(item: &'a mut Item, stopped: &'a Cell<Stopped>) -> Self {
        Self { item, stopped }
    }
}

impl<'de> Deserializer<'de> for Attributes<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries = self.item.iter_mut().enumerate();
        visitor.visit_map(Entries { entries, value: None, stopped: self.stopped })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    /// Where the struct is made of an enum.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if !self.item.values().all(is_known) {
            return Err(unknown());
        }
        let item = AttributeValue::M(self.item.clone());
        serde_dynamo::Deserializer::from_attribute_value(item.into())
            .deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map struct identifier ignored_any
    }
}

struct Entries<'a> {
    entries: Enumerate<IterMut<'a, String, AttributeValue>>,
    value: Option<(usize, &'a mut AttributeValue)>,
    stopped: &'a Cell<Stopped>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((position, (name, value))) = self.entries.next() else { return Ok(None) };
        self.value = Some((position, value));
        let name: StrDeserializer<'_, Error> = name.as_str().into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((position, value)) = self.value.take() else {
            return Err(Error::custom("a value was read twice"));
        };
        let value = std::mem::replace(value, AttributeValue::Null(true));
        self.stopped.set(Some((position, kind(&value))));
        if !is_known(&value) {
            return Err(unknown());
        }
        let value = serde_dynamo::Deserializer::from_attribute_value(value.into());
        let value = seed.deserialize(value)?;
        self.stopped.set(None);
        Ok(value)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

fn unknown() -> Error {
    Error::custom("a value of a type that is not known")
}

/// Whether the type of a value, and of all that is in it, is known to this release of the SDK.
fn is_known(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::M(map) => map.values().all(is_known),
        AttributeValue::L(list) => list.iter().all(is_known),
        AttributeValue::S(_)
        | AttributeValue::N(_)
        | AttributeValue::B(_)
        | AttributeValue::Bool(_)
        | AttributeValue::Null(_)
        | AttributeValue::Ss(_)
        | AttributeValue::Ns(_)
        | AttributeValue::Bs(_) => true,
        _ => false,
    }
}

/// The name of an attribute's type, as DynamoDB's documentation has it.
fn kind(value: &AttributeValue) -> &'static str {
    match value {
        AttributeValue::S(_) => "S",
        AttributeValue::N(_) => "N",
        AttributeValue::B(_) => "B",
        AttributeValue::Bool(_) => "BOOL",
        AttributeValue::Null(_) => "NULL",
        AttributeValue::L(_) => "L",
        AttributeValue::M(_) => "M",
        AttributeValue::Ss(_) => "SS",
        AttributeValue::Ns(_) => "NS",
        AttributeValue::Bs(_) => "BS",
        _ => "an unknown one",
    }
}

//! Whether a value may stand where a model has sealed values.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Ciphertext, FieldSpec, Holds};

use super::{guarded::Field, target::Target};

impl Target<'_> {
    /// Whether there is nothing in a value that ought to be sealed, if it stands here.
    pub(super) fn allows(self, value: &AttributeValue) -> bool {
        match self {
            Self::Value(field) => field.allows_text(value),
            Self::Values(field) => field.allows_texts(value),
            Self::Struct(field) => field.allows_structs(value, true),
            Self::Code(code) => code.allows(value),
        }
    }
}

impl Field {
    /// Whether there is nothing in an attribute that ought to be sealed.
    pub(crate) fn allows(&self, value: &AttributeValue) -> bool {
        match self.spec.holds() {
            Holds::Plain => true,
            Holds::Value(_) => self.allows_text(value),
            Holds::Values(_) => self.allows_texts(value),
            Holds::Nested(_) | Holds::NestedMany(_) => self.allows_structs(value, true),
        }
    }

    /// That of another system has its own form, which only the cryptor knows; it begins alike.
    fn allows_text(&self, value: &AttributeValue) -> bool {
        match value {
            AttributeValue::S(text) => {
                Ciphertext::parse(text).is_ok() || (self.takes_legacy && text.starts_with("ENC:"))
            }
            AttributeValue::Null(_) => true,
            _ => false,
        }
    }

    fn allows_texts(&self, value: &AttributeValue) -> bool {
        match value {
            AttributeValue::L(values) => values.iter().all(|value| self.allows_texts(value)),
            AttributeValue::M(values) => values.values().all(|value| self.allows_texts(value)),
            value => self.allows_text(value),
        }
    }

    /// In a collection, a key of a map may have the name of a field of its structs: what is there must be good
    /// as that field and as a part of the collection. `is_part` says that it can only be the latter.
    fn allows_structs(&self, value: &AttributeValue, is_part: bool) -> bool {
        let is_collection = matches!(self.spec.holds(), Holds::NestedMany(_));
        match value {
            AttributeValue::M(values) => values.iter().all(|(name, value)| {
                let inner = self.inner.iter().find(|field| field.attribute() == name);
                let fits = inner.is_none_or(|inner| {
                    inner.allows(value) || is_collection && self.is_key_like(inner, values, value)
                });
                fits && (!is_collection || self.allows_structs(value, false))
            }),
            AttributeValue::L(values) if is_collection => {
                values.iter().all(|value| self.allows_structs(value, is_part))
            }
            AttributeValue::Null(_) => true,
            _ => !is_part,
        }
    }

    /// Whether the name of a field, which holds a text, can only be a key here: under it is a struct, and so it
    /// is under the keys beside it.
    fn is_key_like(
        &self,
        inner: &Field,
        map: &HashMap<String, AttributeValue>,
        value: &AttributeValue,
    ) -> bool {
        let fields: &[FieldSpec] = self.spec.holds().nested().unwrap_or_default();
        let is_struct = |value: &AttributeValue| {
            value.as_m().is_ok_and(|map| fields.iter().any(|field| map.contains_key(field.attribute())))
        };
        matches!(inner.spec.holds(), Holds::Value(_)) && is_struct(value) && map.values().all(is_struct)
    }
}

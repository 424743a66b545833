//! Masks in the JSON of a model, whose sealed values are masked already.

use serde::Serialize;
use serde_json::{Map, Value};

use super::skipped::Skipped;
use crate::{
    error::{Error, ErrorKind, Result},
    json::wipe,
    mask::FULL,
    masking::FieldMask,
    model::{FieldSpec, Holds, PiiModel},
};

/// Masks the fields that are no sealed values: those of level 1, and the keys of maps.
pub(super) fn mask<M: PiiModel + Serialize>(document: &mut Value, model: &M) -> Result<()> {
    let mut missing = Vec::new();
    match document {
        Value::Object(map) => mask_fields(map, M::MODEL.fields(), &Way::default(), &mut missing),
        _ => {
            return Err(Error::new(ErrorKind::InvalidDocument)
                .model(M::MODEL.name())
                .message("the model does not serialise as an object"));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let skipped = Skipped::of(model);
    match missing.into_iter().find(|way| !skipped.contains(&way.keys)) {
        None => Ok(()),
        Some(way) => Err(Error::new(ErrorKind::PathNotFound)
            .field(M::MODEL.name(), &way.names.join("."))
            .message("the field is not where serde's name for it says, so it can't be masked")
            .help("rename it with `#[serde(rename = \"...\")]` alone, and don't flatten or drop it")),
    }
}

/// The way to a field, by serde's names and by stable ones.
#[derive(Clone, Default)]
struct Way {
    keys: Vec<&'static str>,
    names: Vec<&'static str>,
}

impl Way {
    fn to(&self, field: &'static FieldSpec) -> Self {
        let mut way = self.clone();
        way.keys.push(field.attribute());
        way.names.push(field.name());
        way
    }
}

fn mask_fields(map: &mut Map<String, Value>, fields: &'static [FieldSpec], at: &Way, missing: &mut Vec<Way>) {
    for field in fields.iter().filter(|field| field.is_personal() || field.holds().nested().is_some()) {
        match map.get_mut(field.attribute()) {
            Some(value) => mask_field(value, field, at, missing),
            None if shows_more_than_values(field) => missing.push(at.to(field)),
            None => {}
        }
    }
}

fn mask_field(value: &mut Value, field: &'static FieldSpec, at: &Way, missing: &mut Vec<Way>) {
    match (field.holds(), value) {
        (_, Value::Null) | (Holds::Value(_), _) => {}
        (Holds::Values(_), value) => {
            if value.as_object().is_some_and(|map| !map.is_empty()) {
                replace(value, FULL.to_owned());
            }
        }
        (Holds::Nested(fields), value) => mask_nested(value, fields, &at.to(field), missing),
        (Holds::NestedMany(fields), Value::Array(list)) => {
            list.iter_mut().for_each(|value| mask_nested(value, fields, &at.to(field), missing));
        }
        (Holds::NestedMany(fields), Value::Object(map)) => {
            map.values_mut().for_each(|value| mask_nested(value, fields, &at.to(field), missing));
        }
        (_, value) => {
            let shown = match &*value {
                Value::String(text) => FieldMask::from(field.mask()).apply(text),
                _ => FULL.to_owned(),
            };
            replace(value, shown);
        }
    }
}

fn mask_nested(value: &mut Value, fields: &'static [FieldSpec], at: &Way, missing: &mut Vec<Way>) {
    match value {
        Value::Null => {}
        Value::Object(map) => mask_fields(map, fields, at, missing),
        other => replace(other, FULL.to_owned()),
    }
}

fn replace(value: &mut Value, shown: String) {
    wipe(std::mem::replace(value, Value::String(shown)));
}

/// Whether a field that stood under another name would show something in clear.
fn shows_more_than_values(field: &FieldSpec) -> bool {
    match field.holds() {
        Holds::Value(_) => false,
        Holds::Nested(fields) | Holds::NestedMany(fields) => {
            fields.iter().any(|field| field.is_personal() && shows_more_than_values(field))
        }
        // keys of a map, and a field of level 1
        Holds::Values(_) | Holds::Plain => true,
    }
}

//! Between items and models.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, FieldSpec, ModelSpec, PiiModel, Result, Sealed};
use serde::{Serialize, de::DeserializeOwned};

use crate::error;

/// The attributes of an item, as the SDK has them.
pub type Item = HashMap<String, AttributeValue>;

/// The item of a model whose values are sealed. Top-level attributes that would be NULL are left out:
/// an index takes none, and serde reads a missing `Option` as `None`.
pub(crate) fn to_item<M: PiiModel + Serialize>(sealed: &Sealed<'_, M>) -> Result<Item> {
    let mut item: Item = serde_dynamo::to_item(sealed).map_err(|_| {
        // serde's own message may quote a value
        Error::new(ErrorKind::Configuration)
            .model(M::MODEL.name())
            .message("serde cannot write the model as an item")
            .help("the model must serialise as a struct, with keys of maps that are text")
    })?;
    item.retain(|_, value| !matches!(value, AttributeValue::Null(_)));
    Ok(item)
}

/// The model of an item. Attributes that the model does not have are left to its `Deserialize`.
pub(crate) fn from_item<M: PiiModel + DeserializeOwned>(item: Item) -> Result<M> {
    let names = Names::of(&item, M::MODEL);
    let item = serde_dynamo::AttributeValue::from(AttributeValue::M(item));
    serde_path_to_error::deserialize(serde_dynamo::Deserializer::from_attribute_value(item)).map_err(
        |failed: serde_path_to_error::Error<serde_dynamo::Error>| {
            // the path holds names of attributes and maybe keys of a map, which may be personal: the first
            // part is enough
            let at = failed.path().iter().next().map(ToString::to_string);
            names.explain(M::MODEL, at.as_deref())
        },
    )
}

/// What is known about an item's attributes when it does not fit the model: no values.
struct Names {
    missing: Vec<&'static str>,
    kinds: Vec<(&'static FieldSpec, &'static str)>,
}

impl Names {
    fn of(item: &Item, model: &'static ModelSpec) -> Self {
        let mut names = Self { missing: Vec::new(), kinds: Vec::new() };
        for field in model.fields() {
            match item.get(field.attribute()) {
                Some(value) => names.kinds.push((field, kind(value))),
                None => names.missing.push(field.attribute()),
            }
        }
        names
    }

    fn explain(&self, model: &'static ModelSpec, at: Option<&str>) -> Error {
        let error = Error::new(ErrorKind::Database);
        let found = at.and_then(|at| self.kinds.iter().find(|(field, _)| field.attribute() == at));
        match (found, self.missing.as_slice()) {
            (Some((field, kind)), _) if field.is_sealed() => error::at_attribute(
                error
                    .message(format!(
                        "the attribute `{}` is of the type {kind}; a sealed value is a text, S",
                        field.attribute()
                    ))
                    .help("look for a program that writes the attribute without this library"),
                model,
                field.attribute(),
            ),
            (Some((field, kind)), _) => error::at_attribute(
                error.message(format!(
                    "the attribute `{}` is of the type {kind}, which does not fit the field",
                    field.attribute()
                )),
                model,
                field.attribute(),
            ),
            (None, []) => error
                .model(model.name())
                .message("the item does not fit the model")
                .help("look for an attribute that the model does not know and `deny_unknown_fields`"),
            (None, missing) => error
                .model(model.name())
                .message(format!(
                    "the item lacks an attribute of the model; it has no `{}`",
                    missing.join("`, `")
                ))
                .help("make the field an `Option`, or give it `#[serde(default)]`"),
        }
    }
}

/// The name of an attribute's type, as DynamoDB's documentation has it.
pub(crate) fn kind(value: &AttributeValue) -> &'static str {
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

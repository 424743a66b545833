//! Between items and models.

use std::{cell::Cell, collections::HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Error, ErrorKind, FieldSpec, ModelSpec, PiiModel, Result, Sealed};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    attributes::{Attributes, Stopped},
    error,
};

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

/// The model of an item, whose values are gone afterwards. Attributes that the model does not have are left to
/// its `Deserialize`.
pub(crate) fn from_item<M: PiiModel + DeserializeOwned>(item: &mut Item) -> Result<M> {
    let stopped = Cell::new(None);
    let read = M::deserialize(Attributes::new(item, &stopped));
    // serde's own message may quote a value
    read.map_err(|_| explain(item, M::MODEL, stopped.get()))
}

/// Why an item does not fit the model: no values.
#[cold]
fn explain(item: &Item, model: &'static ModelSpec, stopped: Stopped) -> Error {
    let error = Error::new(ErrorKind::Database);
    let found = stopped.and_then(|(position, kind)| {
        let name = item.keys().nth(position)?;
        let field = model.fields().iter().find(|field| field.attribute() == name)?;
        Some((field, kind))
    });
    let lacks = |field: &&FieldSpec| !item.contains_key(field.attribute());
    let missing: Vec<_> = model.fields().iter().filter(lacks).map(|field| field.attribute()).collect();
    match (found, missing.as_slice()) {
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

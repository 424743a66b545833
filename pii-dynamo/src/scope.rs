//! What keeps writes inside the scope of the cryptor.

use aws_sdk_dynamodb::types::AttributeValue;
use pii_core::{Cryptor, EncryptionContext, Error, ErrorKind, ModelSpec, PiiModel, Result};

use crate::{item::Item, placeholders::Placeholders};

/// An attribute that is part of the encryption context, and what the scope wants there.
pub(crate) struct Bounds<'a> {
    pub(crate) attribute: &'static str,
    value: &'a str,
}

/// The attributes that the scope is about. A pair that is made of a field by an expression has none.
///
/// # Errors
/// [`ErrorKind::ContextMismatch`] where no item of the model can be in the scope.
pub(crate) fn bounds<M: PiiModel>(cryptor: &Cryptor) -> Result<Vec<Bounds<'_>>> {
    let model: &'static ModelSpec = M::MODEL;
    let Some(scope) = cryptor.scope().map_err(|error| error.model(model.name()))? else {
        return Ok(Vec::new());
    };
    let mut bounds = Vec::new();
    for (name, value) in scope.pairs() {
        let part = model.context().iter().find(|part| part.name == name);
        if part.is_none_or(|part| part.literal.is_some_and(|literal| literal != value)) {
            return Err(Error::new(ErrorKind::ContextMismatch).model(model.name()).message(format!(
                "every item of the model is outside the scope of this cryptor: `{name}` differs"
            )));
        }
        let column = part.and_then(|part| part.column);
        if let Some(field) = model.fields().iter().find(|field| Some(field.column()) == column) {
            bounds.push(Bounds { attribute: field.attribute(), value });
        }
    }
    Ok(bounds)
}

/// The attributes that hold these pairs of a context.
///
/// # Errors
/// [`ErrorKind::InvalidContext`] for no pairs, or where no item of the model has one of them;
/// [`ErrorKind::Configuration`] where no attribute holds one.
pub(crate) fn of_pairs<M: PiiModel>(context: &EncryptionContext) -> Result<Vec<Bounds<'_>>> {
    let model: &'static ModelSpec = M::MODEL;
    let wrong = |kind, message: String| Error::new(kind).model(model.name()).message(message);
    if context.pairs().len() == 0 {
        return Err(wrong(
            ErrorKind::InvalidContext,
            "every item has no pairs: name at least one".to_owned(),
        ));
    }
    let mut bounds = Vec::new();
    for (name, value) in context.pairs() {
        let part = model.context().iter().find(|part| part.name == name).ok_or_else(|| {
            wrong(
                ErrorKind::InvalidContext,
                format!(
                    "the encryption context of the model has no pair `{name}`: no item was shredded by it"
                ),
            )
        })?;
        match part.literal {
            Some(literal) if literal == value => {}
            Some(_) => {
                let message = format!("no item of the model has this value of `{name}` in its context");
                return Err(wrong(ErrorKind::InvalidContext, message));
            }
            None => {
                let field = model.fields().iter().find(|field| Some(field.column()) == part.column);
                let field = field.ok_or_else(|| {
                    let message = format!(
                        "`{name}` is made of fields by an expression, so that no attribute tells the items"
                    );
                    wrong(ErrorKind::Configuration, message)
                        .help("remove the attributes of the blind indexes by requests of your own")
                })?;
                bounds.push(Bounds { attribute: field.attribute(), value });
            }
        }
    }
    Ok(bounds)
}

impl Bounds<'_> {
    /// `#tenant = :tenant`: as text, or as a number where it reads like one.
    pub(crate) fn condition(&self, placeholders: &mut Placeholders) -> String {
        let name = placeholders.name(self.attribute);
        let text = placeholders.value(AttributeValue::S(self.value.to_owned()));
        if self.value.parse::<i128>().is_err() {
            return format!("{name} = {text}");
        }
        let number = placeholders.value(AttributeValue::N(self.value.to_owned()));
        format!("({name} = {text} OR {name} = {number})")
    }

    /// Whether a stored item is inside.
    pub(crate) fn holds(&self, item: &Item) -> bool {
        match item.get(self.attribute) {
            Some(AttributeValue::S(value) | AttributeValue::N(value)) => value == self.value,
            _ => false,
        }
    }
}

//! Masked.

use std::fmt;

use serde::{Serialize, Serializer, ser};
use serde_json::Value;

use super::{masked_text, masked_values, object, of_model};
use crate::{
    error::Result,
    json::{WipedValue, read_json, write_json},
    mask::{FULL, Mask},
    model::{PiiField, PiiModel, Walk},
    value::{Shown, ShownValues},
};

/// Serialises a model masked: for logs, support screens and answers to those who may see no more.
///
/// Personal fields, those of level 1 and of nested structs too, are written as their masks show them; what
/// is not text, and what was not opened, as `*****`. Everything else is what the model's own `Serialize`
/// writes. Nothing is opened for it, and no key is asked for.
///
/// ```
/// # use pii_core as pii;
/// use pii::{EncryptedStr, Masked};
/// # use pii::{__private::*};
/// # #[derive(serde::Serialize)]
/// # struct Customer { id: i64, name: String, email: EncryptedStr }
/// # impl PiiModel for Customer {
/// #     const MODEL: &'static ModelSpec = &ModelSpec::new("customer", &[
/// #         FieldSpec::new("name", "name", Holds::Plain).with_level(Level::One).with_mask(Mask::Name),
/// #         FieldSpec::new("email", "email", <EncryptedStr as PiiField>::HOLDS).with_mask(Mask::Email)],
/// #         RowBinding::Row);
/// #     fn write_context(&self, _: &mut ContextWriter) {}
/// #     fn write_row(&self, out: &mut RowWriter) { RowId::write_row(&self.id, out) }
/// #     fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
/// #         walk.field(&Self::MODEL.fields()[1], |walk| self.email.visit(walk));
/// #     }
/// #     fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) { self.email.visit_mut(walk) }
/// # }
///
/// let ada = Customer { id: 7, name: "Ada Lovelace".into(), email: EncryptedStr::new("ada@example.com") };
/// let shown = serde_json::to_value(Masked(&ada))?;
/// let expected = serde_json::json!({ "id": 7, "name": "A**** L****", "email": "a****@example.com" });
/// assert_eq!(shown, expected);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// The model is written to JSON on the way, in memory that is wiped: so it is an object with the keys in
/// the order of [`serde_json::Map`], and with no whole number of more than 64 bits. A field of level 1 that is not under the
/// name that serde gives it ([`FieldSpec::attribute`](crate::FieldSpec::attribute)) is an error, as it
/// would be shown elsewhere in clear; one that `skip_serializing_if` leaves out is left out. In place of a map
/// of sealed values there is one mask, because its keys may be personal.
pub struct Masked<'a, M>(pub &'a M);

impl<M: PiiModel + Serialize> Masked<'_, M> {
    /// The masked model as a JSON document.
    ///
    /// # Errors
    /// [`ErrorKind::PathNotFound`](crate::ErrorKind::PathNotFound) if a personal field is not where serde's
    /// name says; [`ErrorKind::InvalidDocument`](crate::ErrorKind::InvalidDocument) if the model does
    /// not serialise as a JSON object.
    pub fn to_json(&self) -> Result<Value> {
        let model = M::MODEL;
        let written = masked_values(self.0).during(|| write_json(self.0)).map_err(of_model(model))?;
        let mut document: WipedValue =
            read_json(written.map_err(of_model(model))?.expose()).map_err(of_model(model))?;
        object::mask(&mut document.0, self.0)?;
        Ok(document.release())
    }
}

impl<M: PiiModel + Serialize> Serialize for Masked<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<M: fmt::Debug> fmt::Debug for Masked<'_, M> {
    /// That of the model, which masks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Masked").field(self.0).finish()
    }
}

/// For fields of structs that are bodies: `#[serde(serialize_with = "pii::masked::serialize")]`.
///
/// Writes `*****` for each value. A field alone does not know its mask; for that use
/// [`Encrypted::masked`](crate::Encrypted::masked) or [`Masked`].
///
/// ```
/// # use pii_core as pii;
/// use pii::EncryptedStr;
///
/// #[derive(serde::Serialize)]
/// struct Line {
///     #[serde(serialize_with = "pii::masked::serialize")]
///     emails: Vec<EncryptedStr>,
/// }
///
/// let line = Line { emails: vec![EncryptedStr::new("ada@example.com")] };
/// assert_eq!(serde_json::to_string(&line)?, r#"{"emails":["*****"]}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// If the field can't be written as JSON.
pub fn serialize<F, S>(field: &F, serializer: S) -> Result<S::Ok, S::Error>
where
    F: PiiField + Serialize,
    S: Serializer,
{
    let walk = Walk::of(field);
    let mut values = ShownValues::default();
    for slot in walk.slots() {
        values.add(slot.cell, Shown::Masked(masked_text(slot, Mask::Full)));
    }
    let written = values.during(|| write_json(field)).and_then(|written| written);
    let document = written.and_then(|written| read_json(written.expose())).map_err(ser::Error::custom)?;
    match (&document.0, F::HOLDS.nested()) {
        // keys of maps may be personal, and what else is in a nested struct is not known to be harmless
        (Value::Object(_), _) | (_, Some(_)) => serializer.serialize_str(FULL),
        (value, None) => value.serialize(serializer),
    }
}

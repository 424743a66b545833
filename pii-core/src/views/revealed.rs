//! In clear.

use std::fmt;

use serde::{Serialize, Serializer, ser};

use super::{Unopened, in_clear};
use crate::{
    mask::FULL,
    model::{PiiField, PiiModel, Walk},
    value::{Encrypted, Shown, ShownValues, not_shown},
};

/// Serialises a model in clear, for the body of an answer to somebody who may see it.
///
/// The model itself serialises its sealed texts and refuses plain values; this wrapper says that
/// plaintext is meant. It borrows the model, and writes what the model's own `Serialize` writes, with
/// plaintexts in place of sealed values. A value that was not opened is an error that names its field;
/// [`or_masked`](Self::or_masked) shows such values masked.
///
/// ```
/// # use pii_core as pii;
/// use pii::{EncryptedStr, Revealed};
/// # use pii::{__private::*};
/// # #[derive(serde::Serialize)]
/// # struct Customer { id: i64, email: EncryptedStr }
/// # impl PiiModel for Customer {
/// #     const MODEL: &'static ModelSpec = &ModelSpec::new("customer",
/// #         &[FieldSpec::new("email", "email", <EncryptedStr as PiiField>::HOLDS)], RowBinding::Row);
/// #     fn write_context(&self, _: &mut ContextWriter) {}
/// #     fn write_row(&self, out: &mut RowWriter) { RowId::write_row(&self.id, out) }
/// #     fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
/// #         walk.field(&Self::MODEL.fields()[0], |walk| self.email.visit(walk));
/// #     }
/// #     fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) { self.email.visit_mut(walk) }
/// # }
///
/// let ada = Customer { id: 7, email: EncryptedStr::new("ada@example.com") };
/// assert!(serde_json::to_string(&ada).is_err());
/// assert_eq!(serde_json::to_string(&Revealed(&ada))?, r#"{"id":7,"email":"ada@example.com"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// Text is written as text, JSON as the value that it is, numbers, truth values and UUIDs as serde writes
/// them, bytes as serde's bytes. What serde and the serializer do with the plaintext is no longer in the hands
/// of this library: their buffers are not wiped.
pub struct Revealed<'a, M>(pub &'a M);

impl<'a, M: PiiModel> Revealed<'a, M> {
    /// The same, with `*****` for values that were not opened, such as those of fields in WriteOnly mode.
    #[must_use]
    pub fn or_masked(self) -> RevealedOrMasked<'a, M> {
        RevealedOrMasked(self.0)
    }
}

impl<M: PiiModel + Serialize> Serialize for Revealed<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_model(self.0, Unopened::Refuse, serializer)
    }
}

impl<M: fmt::Debug> fmt::Debug for Revealed<'_, M> {
    /// That of the model, which masks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Revealed").field(self.0).finish()
    }
}

/// Serialises a model in clear as far as it was opened; made by [`Revealed::or_masked`].
pub struct RevealedOrMasked<'a, M>(&'a M);

impl<M: PiiModel + Serialize> Serialize for RevealedOrMasked<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_model(self.0, Unopened::Mask, serializer)
    }
}

impl<M: fmt::Debug> fmt::Debug for RevealedOrMasked<'_, M> {
    /// That of the model, which masks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevealedOrMasked").field(self.0).finish()
    }
}

fn serialize_model<M, S>(model: &M, unopened: Unopened, serializer: S) -> Result<S::Ok, S::Error>
where
    M: PiiModel + Serialize,
    S: Serializer,
{
    let values = in_clear(model, unopened).map_err(ser::Error::custom)?;
    values.during(|| model.serialize(serializer)).map_err(ser::Error::custom)?
}

/// Serialises one field in clear: an [`Encrypted`] value, or an `Option`, list or map of them.
///
/// Made by [`Encrypted::revealed`].
pub struct RevealedField<'a, F>(pub &'a F);

impl<F: PiiField + Serialize> Serialize for RevealedField<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(self.0, serializer)
    }
}

impl<F> fmt::Debug for RevealedField<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevealedField({FULL})")
    }
}

impl<T> Encrypted<T> {
    /// This value in clear, for serde: in the body of an answer. A value that is not opened is an error.
    ///
    /// ```
    /// # use pii_core as pii;
    /// use pii::EncryptedStr;
    ///
    /// let email = EncryptedStr::new("ada@example.com");
    /// assert_eq!(serde_json::json!({ "to": email.revealed() }).to_string(), r#"{"to":"ada@example.com"}"#);
    /// ```
    #[must_use]
    pub fn revealed(&self) -> RevealedField<'_, Self> {
        RevealedField(self)
    }
}

/// For fields of structs that are bodies: `#[serde(serialize_with = "pii::revealed::serialize")]`.
///
/// Not for models: where one is written to be stored, this refuses to.
///
/// ```
/// # use pii_core as pii;
/// use pii::EncryptedStr;
///
/// #[derive(serde::Serialize)]
/// struct Body {
///     #[serde(serialize_with = "pii::revealed::serialize")]
///     email: EncryptedStr,
/// }
///
/// let body = Body { email: EncryptedStr::new("ada@example.com") };
/// assert_eq!(serde_json::to_string(&body)?, r#"{"email":"ada@example.com"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// If a value was not opened.
pub fn serialize<F, S>(field: &F, serializer: S) -> Result<S::Ok, S::Error>
where
    F: PiiField + Serialize,
    S: Serializer,
{
    let walk = Walk::of(field);
    let mut values = ShownValues::default();
    for slot in walk.slots() {
        if slot.cell.plain().is_none() {
            return Err(ser::Error::custom(not_shown()));
        }
        values.add(slot.cell, Shown::InClear(slot.ops));
    }
    values.during(|| field.serialize(serializer)).map_err(ser::Error::custom)?
}

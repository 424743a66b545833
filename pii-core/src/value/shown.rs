//! Values for people and other programs: in clear where a program says so, and masked.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Serialize, Serializer, ser};
use zeroize::Zeroizing;

use super::{
    encoding,
    encrypted::Encrypted,
    pii_value::PiiValue,
    serde_impls::{SealedScope, address},
};
use crate::{
    error::{Error, ErrorKind, Result},
    mask::{FULL, Mask},
    masking::Masker,
    model::{FieldSpec, PathStep, PiiField, PiiModel, Slot, TypeCode, Walk},
    secret::SecretBytes,
};

/// A model whose sealed fields serialise in clear: for the body of an answer to who may see them.
///
/// Numbers and truth values serialise as such, JSON values as what they are, bytes as base64, and everything
/// else as text. A field that was not opened is an error, which names it. Serialising twice shows
/// the same; nothing is opened for it.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Encrypted, Revealed};
///
/// let salary = Encrypted::of(52_000_i64);
/// assert!(serde_json::to_string(&salary).is_err());
/// assert_eq!(serde_json::to_string(&Revealed(&salary)).unwrap(), "52000");
/// ```
///
/// For one field of a struct of your own: `#[serde(serialize_with = "pii::revealed")]`.
pub struct Revealed<'a, T>(pub &'a T);

/// A model, all of whose personal fields serialise masked: for support screens, logs and answers to who may
/// not see them.
///
/// A field is masked as its `mask` says, if it is text and its plaintext is at hand; else, and by default, it is
/// masked in full, with a fixed length. Nothing is opened for it. Fields of level 1 are masked too. The fields are
/// those that serde writes; what it renames in ways that the derive does not see, is not masked but refused.
///
/// For one field of a struct of your own: `#[serde(serialize_with = "pii::masked")]`, which masks in full.
pub struct Masked<'a, T>(pub &'a T);

/// What a [`Revealed`] or [`Masked`] can be about: a model, or a field of one.
pub trait Shows {
    /// Serialises in clear.
    ///
    /// # Errors
    /// The serializer's, with the field that was not opened.
    #[doc(hidden)]
    fn reveal<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;

    /// Serialises masked.
    ///
    /// # Errors
    /// The serializer's.
    #[doc(hidden)]
    fn mask<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error>;
}

impl<T: Shows> Serialize for Revealed<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.reveal(serializer)
    }
}

impl<T: Shows> Serialize for Masked<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.mask(serializer)
    }
}

/// Serialises a sealed field in clear: for `#[serde(serialize_with = "pii::revealed")]`.
///
/// # Errors
/// The serializer's, where a value was not opened.
pub fn revealed<F: PiiField + Serialize, S: Serializer>(field: &F, serializer: S) -> Result<S::Ok, S::Error> {
    reveal(&Walk::of(field), "", field, serializer)
}

/// Serialises a sealed field masked in full: for `#[serde(serialize_with = "pii::masked")]`.
///
/// # Errors
/// The serializer's.
pub fn masked<F: PiiField + Serialize, S: Serializer>(field: &F, serializer: S) -> Result<S::Ok, S::Error> {
    let walk = Walk::of(field);
    let full = walk.slots().iter().map(|slot| (address(slot.cell), Shown::masked(slot, Mask::Full)));
    SealedScope::of_shown(full).during(|| field.serialize(serializer))
}

fn reveal<T: Serialize, S: Serializer>(
    walk: &Walk<'_>,
    model: &str,
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown: Result<Vec<_>> = walk
        .slots()
        .iter()
        .map(|slot| {
            let shown = Shown::of(slot).map_err(|error| error.field(model, &path_of(walk, slot)));
            Ok((address(slot.cell), shown?))
        })
        .collect();
    let shown = shown.map_err(ser::Error::custom)?;
    SealedScope::of_shown(shown.into_iter()).during(|| value.serialize(serializer))
}

fn path_of(walk: &Walk<'_>, slot: &Slot<'_>) -> String {
    let fields = walk.path(slot).iter().filter_map(|step| match step {
        PathStep::Field(field) => Some(field.name()),
        _ => None,
    });
    fields.collect::<Vec<_>>().join(".")
}

impl<M: PiiModel + Serialize> Shows for M {
    fn reveal<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut walk = Walk::default();
        self.visit(&mut walk);
        reveal(&walk, M::MODEL.name(), self, serializer)
    }

    fn mask<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut walk = Walk::default();
        self.visit(&mut walk);
        let shown =
            walk.slots().iter().map(|slot| (address(slot.cell), Shown::masked(slot, slot.field.mask())));
        let scope = SealedScope::of_shown(shown);
        if !M::MODEL.fields().iter().any(is_level_one) {
            return scope.during(|| self.serialize(serializer));
        }
        // plain fields serialise themselves: they are masked in the JSON of the model
        let masker = Masker::of_level_one::<M>().map_err(ser::Error::custom)?;
        let document = scope.during(|| masker.mask_serialize(self)).map_err(ser::Error::custom)?;
        document.serialize(serializer)
    }
}

impl<T: PiiValue> Shows for Encrypted<T> {
    fn reveal<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        revealed(self, serializer)
    }

    fn mask<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        masked(self, serializer)
    }
}

fn is_level_one(field: &FieldSpec) -> bool {
    match field.holds().nested() {
        Some(nested) => nested.iter().any(is_level_one),
        None => field.is_personal() && !field.is_sealed(),
    }
}

/// What stands in the place of a value.
pub(super) enum Shown {
    Text(SecretBytes),
    Bool(bool),
    Integer(i128),
    Float(f64),
    Json(SecretBytes),
}

impl Shown {
    /// In clear.
    fn of(slot: &Slot<'_>) -> Result<Self> {
        let plain = slot.cell.plain().ok_or_else(|| {
            Error::new(ErrorKind::State).message("the value was not opened, and can't be revealed").help(
                "load the row with `.decrypt_pii()`; a field in WriteOnly mode stays sealed: use `Masked`",
            )
        })?;
        let bytes = plain.expose();
        let code = slot.ops.code;
        let wrong = || super::wrong_type(code);
        Ok(match code {
            TypeCode::BOOL => Self::Bool(encoding::BOOL(bytes).ok_or_else(wrong)?),
            TypeCode::INTEGER => Self::Integer(encoding::INTEGER(bytes).ok_or_else(wrong)?),
            TypeCode::FLOAT => Self::Float(encoding::FLOAT(bytes).ok_or_else(wrong)?),
            TypeCode::JSON => Self::Json(plain.clone()),
            TypeCode::BYTES => Self::Text(SecretBytes::from_vec(STANDARD.encode(bytes).into_bytes())),
            _ => Self::Text((slot.ops.to_plaintext)(bytes).ok_or_else(wrong)?),
        })
    }

    /// As a mask shows it; what is no text, or not known, in full.
    fn masked(slot: &Slot<'_>, mask: Mask) -> Self {
        let text = slot.cell.plain().filter(|_| slot.ops.code == TypeCode::UTF8).map(SecretBytes::expose);
        let masked = match text.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            Some(text) => mask.apply(text),
            None => FULL.to_owned(),
        };
        Self::Text(SecretBytes::from_vec(masked.into_bytes()))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = |bytes| std::str::from_utf8(bytes).map_err(|_| ser::Error::custom("a value is no text"));
        match self {
            Self::Text(bytes) => serializer.serialize_str(text(bytes.expose())?),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Integer(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (Ok(value), _) => serializer.serialize_i64(value),
                (_, Ok(value)) => serializer.serialize_u64(value),
                _ => serializer.serialize_i128(*value),
            },
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Json(bytes) => {
                let value: serde_json::Value = serde_json::from_slice(bytes.expose())
                    .map_err(|_| ser::Error::custom("a value is no JSON"))?;
                let value = Wiped(value);
                value.0.serialize(serializer)
            }
        }
    }
}

/// A JSON value whose texts are wiped when it is dropped.
struct Wiped(serde_json::Value);

impl Drop for Wiped {
    fn drop(&mut self) {
        fn wipe(value: &mut serde_json::Value) {
            match value {
                serde_json::Value::String(text) => drop(Zeroizing::new(std::mem::take(text))),
                serde_json::Value::Array(values) => values.iter_mut().for_each(wipe),
                serde_json::Value::Object(members) => members.values_mut().for_each(wipe),
                _ => {}
            }
        }
        wipe(&mut self.0);
    }
}

//! Types that can be sealed, and their bytes inside the envelope: see FORMAT.md, "Types".

use std::fmt;

use serde::{Serialize, de::DeserializeOwned};

use super::encoding;
use crate::{
    error::{Error, ErrorKind, Result},
    model::TypeCode,
    secret::{SecretBytes, WipingBuffer},
};

/// A type whose values can be sealed as [`Encrypted<T>`](crate::Encrypted).
///
/// Only wiped memory ever holds the encoded plaintext.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sealed as it is",
    label = "write `EncryptedStr` for text, and `Encrypted<Json<{Self}>>` for anything else",
    note = "what stands in `Json` needs serde's `Serialize` and `Deserialize`"
)]
pub trait PiiValue: Sized + 'static {
    /// The type, as it is authenticated with the value.
    const TYPE: TypeCode;

    /// The bucket to which a field pads its values, unless it has a `pad` of its own: that of an enum.
    #[doc(hidden)]
    const PAD: Option<u32> = None;

    /// What exposing gives: `&str` for text, an owned value for JSON.
    type Exposed<'a>;

    /// The bytes to seal.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if the value can't be expressed.
    fn encode(self) -> Result<SecretBytes>;

    /// The value of opened bytes.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if the bytes are no value of this type.
    fn decode(bytes: &[u8]) -> Result<Self::Exposed<'_>>;

    /// Whether opened bytes are a value of this type, as far as can be told cheaply.
    fn check(bytes: &[u8]) -> bool;

    /// The bytes to seal of stored text that is not encrypted, where the field's policy accepts it: a number
    /// in its digits, a date as ISO 8601 has it. `None` if the text is no value of this type, which is the
    /// default.
    fn from_plaintext(text: &str) -> Option<SecretBytes> {
        let _ = text;
        None
    }

    /// The text under which a value is stored where the field's policy is `prepare`; what
    /// [`PiiValue::from_plaintext`] reads. `None` if it has no such text, which is the default.
    fn to_plaintext(bytes: &[u8]) -> Option<SecretBytes> {
        let _ = bytes;
        None
    }
}

/// What the state of a value needs to know of its type.
pub(crate) struct TypeOps {
    pub(crate) code: TypeCode,
    pub(crate) check: fn(&[u8]) -> bool,
    pub(crate) from_plaintext: fn(&str) -> Option<SecretBytes>,
    pub(crate) to_plaintext: fn(&[u8]) -> Option<SecretBytes>,
}

impl TypeOps {
    /// The bytes to seal of stored text that a policy accepts.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if it is no value of the type.
    pub(crate) fn accepted(&self, text: &SecretBytes) -> Result<SecretBytes> {
        let text = std::str::from_utf8(text.expose()).ok();
        text.and_then(self.from_plaintext).ok_or_else(|| wrong_type(self.code))
    }
}

pub(crate) trait HasTypeOps {
    const OPS: &'static TypeOps;
}

impl<T: PiiValue> HasTypeOps for T {
    const OPS: &'static TypeOps = &TypeOps {
        code: T::TYPE,
        check: T::check,
        from_plaintext: T::from_plaintext,
        to_plaintext: T::to_plaintext,
    };
}

pub(crate) fn wrong_type(code: TypeCode) -> Error {
    Error::new(ErrorKind::Malformed).message(format!("the plaintext is not a valid {}", code.name()))
}

impl PiiValue for String {
    const TYPE: TypeCode = TypeCode::UTF8;
    type Exposed<'a> = &'a str;

    fn encode(self) -> Result<SecretBytes> {
        Ok(SecretBytes::from_vec(self.into_bytes()))
    }

    fn decode(bytes: &[u8]) -> Result<&str> {
        std::str::from_utf8(bytes).map_err(|_| wrong_type(Self::TYPE))
    }

    fn check(bytes: &[u8]) -> bool {
        encoding::is_text(bytes)
    }

    fn from_plaintext(text: &str) -> Option<SecretBytes> {
        Some(SecretBytes::copy_from(text.as_bytes()))
    }

    fn to_plaintext(bytes: &[u8]) -> Option<SecretBytes> {
        Some(SecretBytes::copy_from(bytes))
    }
}

/// Any serde value, sealed as one JSON text: `Encrypted<Json<Address>>`.
///
/// Exposing gives an owned value, which is not wiped when it is dropped.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Json<T>(pub T);

impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Json(***)")
    }
}

impl<T: Serialize + DeserializeOwned + 'static> PiiValue for Json<T> {
    const TYPE: TypeCode = TypeCode::JSON;
    type Exposed<'a> = T;

    fn encode(self) -> Result<SecretBytes> {
        encode_json(&self.0)
    }

    fn decode(bytes: &[u8]) -> Result<T> {
        decode_json(bytes)
    }

    fn check(bytes: &[u8]) -> bool {
        std::str::from_utf8(bytes)
            .is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok())
    }

    fn from_plaintext(text: &str) -> Option<SecretBytes> {
        Self::check(text.as_bytes()).then(|| SecretBytes::copy_from(text.as_bytes()))
    }

    fn to_plaintext(bytes: &[u8]) -> Option<SecretBytes> {
        Some(SecretBytes::copy_from(bytes))
    }
}

/// That a value of the format is none of the Rust type: too large, or too far away.
pub(crate) fn does_not_fit(code: TypeCode) -> Error {
    Error::new(ErrorKind::Malformed)
        .message(format!("the {} inside does not fit the Rust type", code.name()))
        .help("a program with a larger type wrote it; the sealed value is unharmed")
}

pub(crate) fn decode_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    // serde's own messages quote the input: they are not passed on
    serde_json::from_slice(bytes).map_err(|error| {
        wrong_type(TypeCode::JSON).message(if error.is_data() {
            "the JSON inside does not fit the Rust type"
        } else {
            "the plaintext is not valid JSON"
        })
    })
}

pub(crate) fn encode_json<T: Serialize>(value: &T) -> Result<SecretBytes> {
    let mut buffer = WipingBuffer::default();
    // serde's messages may quote the value: they are not passed on
    serde_json::to_writer(&mut buffer, value)
        .map_err(|_| Error::new(ErrorKind::Malformed).message("the value cannot be written as JSON"))?;
    Ok(buffer.into_secret())
}

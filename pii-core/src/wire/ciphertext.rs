//! Validated wire text.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    NONCE_BYTES, PREFIX, TAG_BYTES,
    header::{FIXED_BYTES, KeyId, Layout, Parts},
    shape::is_of_key_store,
};
use crate::error::{Error, ErrorKind};

/// The largest plaintext of one value: 1 MiB.
pub(crate) const MAX_PLAINTEXT_BYTES: usize = 1024 * 1024;

/// No text of a value can be longer: there is room for the largest plaintext and the largest header.
pub(super) const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

/// Why a text is not a sealed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// It does not begin with `ENC:`.
    #[error("the text does not begin with `ENC:`")]
    NotEncrypted,
    /// It is of a version or layout that this release does not know.
    #[error("the text is of a version or layout that this release does not know")]
    UnknownVersion,
    /// It begins with `ENC:` and is damaged.
    #[error("the text begins with `ENC:` but is not well formed")]
    Malformed,
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        match error {
            FormatError::NotEncrypted => Self::new(ErrorKind::NotEncrypted),
            FormatError::UnknownVersion => Self::new(ErrorKind::UnknownVersion)
                .help("it was written by a newer release of this library, or by another one"),
            FormatError::Malformed => Self::new(ErrorKind::Malformed)
                .help("look for a column that cuts long text, or for a value that was edited by hand"),
        }
    }
}

/// The text `ENC:...` of a sealed value, checked to be well formed.
///
/// It is always safe to print, to bind to a statement and to serialise, and cheap to clone. Being well
/// formed says nothing about being genuine: that shows when it is opened.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Ciphertext, FormatError};
///
/// assert_eq!(Ciphertext::parse("ada@example.com").unwrap_err(), FormatError::NotEncrypted);
/// assert_eq!(Ciphertext::parse("ENC:AAAA").unwrap_err(), FormatError::UnknownVersion);
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = diesel::sql_types::Text)
)]
pub struct Ciphertext(Arc<str>);

impl Ciphertext {
    /// Copies a text if it is a well-formed value of a known version and layout.
    ///
    /// # Errors
    /// [`FormatError`].
    pub fn parse(text: impl AsRef<str>) -> Result<Self, FormatError> {
        let text = text.as_ref();
        if !is_of_key_store(text) {
            Parts::parse(decode(text, &mut Vec::new())?)?;
        }
        Ok(Self(text.into()))
    }

    /// Copies a text of another system: one that is none of ours.
    pub(crate) fn foreign(text: &str) -> Self {
        Self(text.into())
    }

    /// Whether another system wrote it, in a field that says `#[pii(legacy = "...")]`. Such a text has no
    /// key id and no layout of ours, and [`Ciphertext::parse`] refuses it.
    #[must_use]
    #[inline]
    pub fn is_foreign(&self) -> bool {
        // the first byte of ours is 02
        !matches!(self.0.as_bytes().get(PREFIX.len()..PREFIX.len() + 2), Some([b'A', b'g'..=b'v']))
    }

    /// The text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the data key that the value was sealed with; zeros for a
    /// [text of another system](Ciphertext::is_foreign).
    ///
    /// ```
    /// # use pii_core::{Ciphertext, KeyId};
    /// # fn show(value: &Ciphertext) {
    /// println!("sealed with data key {:?}", value.key_id());
    /// # }
    /// ```
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        self.with_parts(|parts| parts.key_id).unwrap_or(KeyId([0; 16]))
    }

    /// Whether the wrapped data key stands in a key store or in the value.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.with_parts(|parts| parts.layout).unwrap_or(Layout::KeyStore)
    }

    /// The first 28 characters: `ENC:` and what all values under one data key and layout share.
    /// Stale values are found by it (`LIKE 'ENC:...%'`) without opening any.
    #[must_use]
    #[inline]
    pub fn key_prefix(&self) -> &str {
        self.0.get(..PREFIX.len() + 24).unwrap_or(&self.0)
    }

    /// The part of the text that says where the data key is: the same for all values under one
    /// data key and layout, give or take the leading bytes of the nonce.
    #[inline]
    pub(crate) fn head(&self) -> &str {
        let base64 = self.0.get(PREFIX.len()..).unwrap_or_default();
        // the third character begins with the low half of the layout byte
        if matches!(base64.as_bytes().get(2), Some(b'E'..=b'H')) {
            return self.key_prefix();
        }
        let mut front = [0; 21];
        let decoded = base64.get(..28).map(|front_text| STANDARD.decode_slice(front_text, &mut front));
        let [.., high, low, _] = front;
        match decoded {
            Some(Ok(_)) => {
                let end = FIXED_BYTES + 2 + usize::from(u16::from_be_bytes([high, low]));
                base64.get(..end.div_ceil(3) * 4).unwrap_or(base64)
            }
            _ => base64,
        }
    }

    /// How many bytes stand before the nonce, give or take two.
    pub(crate) fn head_bytes(&self) -> usize {
        self.head().trim_start_matches(PREFIX).len() / 4 * 3
    }

    /// A text that is as long as that of a value with so many bytes before its nonce, and is none: for sizes.
    pub(crate) fn stand_in(head_bytes: usize, plaintext_bytes: usize) -> Self {
        let body = head_bytes + NONCE_BYTES + plaintext_bytes + TAG_BYTES;
        Self([PREFIX, &"A".repeat(body.div_ceil(3) * 4)].concat().into())
    }

    fn with_parts<T>(&self, f: impl FnOnce(Parts<'_>) -> T) -> Option<T> {
        let mut buffer = Vec::new();
        let decoded = decode(&self.0, &mut buffer).ok()?;
        Parts::parse(decoded).ok().map(f)
    }
}

/// Decodes the base64 after the prefix into the front of `buffer`, canonical text only. A buffer as
/// long as the text is long enough.
#[inline]
pub(crate) fn decode_into<'b>(text: &str, buffer: &'b mut [u8]) -> Result<&'b mut [u8], FormatError> {
    let base64 = text.strip_prefix(PREFIX).ok_or(FormatError::NotEncrypted)?;
    if text.len() > MAX_TEXT_BYTES {
        return Err(FormatError::Malformed);
    }
    let length = STANDARD.decode_slice(base64, buffer).map_err(|_| FormatError::Malformed)?;
    buffer.get_mut(..length).ok_or(FormatError::Malformed)
}

/// As [`decode_into`], into a buffer that grows as needed.
pub(crate) fn decode<'b>(text: &str, buffer: &'b mut Vec<u8>) -> Result<&'b [u8], FormatError> {
    let base64 = text.strip_prefix(PREFIX).ok_or(FormatError::NotEncrypted)?;
    buffer.resize(base64.len().min(MAX_TEXT_BYTES), 0);
    decode_into(text, buffer).map(|decoded| &*decoded)
}

/// Encodes texts one after the other.
#[derive(Default)]
pub(crate) struct TextEncoder(Vec<u8>);

impl TextEncoder {
    /// `ENC:` and the base64 of `bytes`, in one allocation of the exact size.
    #[inline]
    pub(crate) fn encode(&mut self, bytes: &[u8]) -> Result<Ciphertext, FormatError> {
        let length = PREFIX.len() + bytes.len().div_ceil(3) * 4;
        if self.0.len() < length {
            self.0.resize(length, 0);
        }
        let text = self.0.get_mut(..length).ok_or(FormatError::Malformed)?;
        let (prefix, base64) = text.split_at_mut(PREFIX.len());
        prefix.copy_from_slice(PREFIX.as_bytes());
        STANDARD.encode_slice(bytes, base64).map_err(|_| FormatError::Malformed)?;
        std::str::from_utf8(text).map(|text| Ciphertext(text.into())).map_err(|_| FormatError::Malformed)
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({self})")
    }
}

impl fmt::Display for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Ciphertext {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Ciphertext> for String {
    fn from(ciphertext: Ciphertext) -> Self {
        ciphertext.as_str().to_owned()
    }
}

impl From<Ciphertext> for Arc<str> {
    fn from(ciphertext: Ciphertext) -> Self {
        ciphertext.0
    }
}

impl serde::Serialize for Ciphertext {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Ciphertext {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message quotes what it found instead
        let text = <Cow<'de, str>>::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom("a sealed value must be stored as text"))?;
        Self::parse(text).map_err(serde::de::Error::custom)
    }
}

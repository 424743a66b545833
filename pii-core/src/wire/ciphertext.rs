//! Validated wire text.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    NONCE_BYTES, PREFIX, TAG_BYTES, VERSION,
    header::{BODY_BYTES, FIXED_BYTES, KeyId, Layout, Parts},
};
use crate::error::{Error, ErrorKind};

/// The largest plaintext of one value: 1 MiB.
pub(crate) const MAX_PLAINTEXT_BYTES: usize = 1024 * 1024;

/// No text of a value can be longer: there is room for the largest plaintext and the largest header.
const MAX_TEXT_BYTES: usize = 2 * 1024 * 1024;

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
        if !is_value_of_key_store(text) {
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

/// Whether a text is well formed, for those that are most common. Others may be well formed too: they are decoded
/// to find out.
///
/// Every value that is loaded passes here, and is decoded when it is opened. So its characters are only looked at,
/// many at a time.
fn is_value_of_key_store(text: &str) -> bool {
    let Some(base64) = text.strip_prefix(PREFIX).filter(|_| text.len() <= MAX_TEXT_BYTES) else {
        return false;
    };
    let (Some((front, rest)), 0) = (base64.as_bytes().split_first_chunk::<FRONT_CHARS>(), base64.len() % 4)
    else {
        return false;
    };
    let Some((middle, last)) = rest.split_last_chunk::<4>() else { return false };
    let (mut start, mut end) = ([0; FIXED_BYTES], [0; 3]);
    let decoded = STANDARD.decode_slice(front, &mut start);
    if !matches!((decoded, start), (Ok(FIXED_BYTES), [VERSION, 0x01, ..])) {
        return false;
    }
    // padding stands in the last four, if anywhere
    let Ok(ending) = STANDARD.decode_slice(last, &mut end) else { return false };
    let after_front = middle.len() / 4 * 3 + ending;
    let is_long_enough = BODY_BYTES.contains(&after_front.saturating_sub(NONCE_BYTES));
    is_long_enough && middle.iter().fold(true, |all, byte| all & is_base64(*byte))
}

/// So many characters hold version, layout and key id.
const FRONT_CHARS: usize = FIXED_BYTES / 3 * 4;

/// Without a branch, so that the compiler looks at many bytes at once.
#[inline]
fn is_base64(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let is_digit = byte.wrapping_sub(b'0') < 10;
    is_letter | is_digit | (byte == b'+') | (byte == b'/')
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(bytes: &[u8]) -> String {
        format!("{PREFIX}{}", STANDARD.encode(bytes))
    }

    /// A value of this layout with so many bytes after the key id.
    fn value(layout: u8, rest: usize) -> Vec<u8> {
        let mut bytes = vec![VERSION, layout];
        bytes.extend((0..=250_u8).cycle().take(16 + rest));
        bytes
    }

    fn is_well_formed(text: &str) -> bool {
        decode(text, &mut Vec::new()).and_then(|decoded| Parts::parse(decoded).map(drop)).is_ok()
    }

    #[test]
    fn values_of_every_length_are_known_without_decoding() {
        for rest in 0..200 {
            let text = text_of(&value(1, rest));
            assert_eq!(is_value_of_key_store(&text), is_well_formed(&text), "{rest}");
            assert_eq!(is_value_of_key_store(&text), rest >= NONCE_BYTES + TAG_BYTES, "{rest}");
        }
        let most = *BODY_BYTES.end() + NONCE_BYTES;
        for (rest, is_one) in [(most, true), (most + 1, false)] {
            let text = text_of(&value(1, rest));
            assert_eq!((is_value_of_key_store(&text), is_well_formed(&text)), (is_one, is_one));
        }
        assert!(
            !is_value_of_key_store(&text_of(&value(2, 100)))
                && !is_value_of_key_store(&text_of(&value(3, 100)))
        );
    }

    #[test]
    fn every_character_counts_in_every_place() {
        let text = text_of(&value(1, 60));
        assert!(is_value_of_key_store(&text));
        for place in 0..text.len() {
            for byte in 0..128 {
                let mut changed = text.clone().into_bytes();
                changed[place] = byte;
                let changed = String::from_utf8(changed).unwrap();
                assert_eq!(is_value_of_key_store(&changed), is_well_formed(&changed), "{changed:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_for_well_formed_is(text in "(ENC:)?AgH[A-Za-z0-9+/=é ]{0,120}={0,3}") {
            prop_assert!(!is_value_of_key_store(&text) || is_well_formed(&text), "{text:?}");
        }

        #[test]
        fn values_without_padding_and_with_it_are_well_formed(rest in 40_usize..400, cut in 0_usize..5) {
            let text = text_of(&value(1, rest));
            let cut = &text[..text.len() - cut];
            prop_assert_eq!(is_value_of_key_store(cut), is_well_formed(cut));
        }
    }
}

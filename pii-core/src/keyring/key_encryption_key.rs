//! A key that wraps data keys in this process: see FORMAT.md, "Local wrap".

use std::fmt;

use zeroize::Zeroizing;

use super::KeyBinding;
use crate::{
    crypto::{
        DataKey, KeyLabel, expand, fill_random, without_traces,
        xaes::{HALF_NONCE, XaesKey, halves},
    },
    error::{Error, ErrorKind, Result},
    wire::{
        KeyId, NONCE_BYTES, TAG_BYTES, VERSION,
        encode::{Reader, put_lp},
    },
};

const KEY_BYTES: usize = 32;

/// A key that wraps data keys; wiped when dropped.
pub(crate) struct KeyEncryptionKey {
    id: KeyId,
    key: DataKey,
    label: KeyLabel,
}

impl KeyEncryptionKey {
    pub(super) fn generate() -> Result<Self> {
        DataKey::generate().map(Self::from_key)
    }

    /// A key of a key file, or the known one of the test keyring.
    pub(crate) fn from_key(key: DataKey) -> Self {
        Self { id: key.id(), key, label: KeyLabel::LocalWrap }
    }

    /// A branch key. Its label keeps its blobs apart from those of a key file.
    pub(crate) fn branch(key: DataKey) -> Self {
        Self { id: key.id(), key, label: KeyLabel::SubjectWrap }
    }

    /// The data key that wraps the private key of a key pair, and nothing else.
    #[cfg(feature = "public-keyring")]
    pub(super) fn of_private_key(key: DataKey) -> Self {
        Self { id: key.id(), key, label: KeyLabel::PrivateKey }
    }

    pub(crate) fn id(&self) -> KeyId {
        self.id
    }

    /// For the key file alone.
    pub(super) fn expose_bytes(&self) -> &[u8; KEY_BYTES] {
        self.key.expose_bytes()
    }

    fn wrapping_key(&self) -> XaesKey {
        XaesKey::new(&expand(self.key.expose_bytes(), self.label))
    }

    fn associated_data(&self, binding: &KeyBinding) -> Vec<u8> {
        wrap_binding(self.label, self.id, binding)
    }

    /// Nonce, wrapped key and tag: 72 bytes.
    pub(crate) fn wrap(&self, data_key: &DataKey, binding: &KeyBinding) -> Result<Vec<u8>> {
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce)?;
        let (first, second) = halves(&nonce);
        without_traces(|| {
            let mut bytes = Zeroizing::new(*data_key.expose_bytes());
            let tag = self
                .wrapping_key()
                .derive(first)
                .seal(second, &self.associated_data(binding), &mut *bytes)
                .map_err(|_| Error::new(ErrorKind::TooLarge))?;
            Ok([nonce.as_slice(), bytes.as_slice(), tag.as_slice()].concat())
        })
    }

    pub(super) fn unwrap(&self, blob: &[u8], binding: &KeyBinding) -> Option<DataKey> {
        let mut reader = Reader(blob);
        let first: [u8; HALF_NONCE] = reader.array()?;
        let second: [u8; HALF_NONCE] = reader.array()?;
        let wrapped: [u8; KEY_BYTES] = reader.array()?;
        let tag: [u8; TAG_BYTES] = reader.array()?;
        if !reader.0.is_empty() {
            return None;
        }
        without_traces(|| {
            let mut bytes = Zeroizing::new(wrapped);
            let derived = self.wrapping_key().derive(&first);
            derived.open(&second, &self.associated_data(binding), &mut *bytes, &tag).ok()?;
            Some(DataKey::take(&mut bytes))
        })
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyEncryptionKey({})", self.id)
    }
}

/// What a wrap binds: version, label, wrapping key, purpose, epoch and context.
pub(super) fn wrap_binding(label: KeyLabel, wrapped_by: KeyId, binding: &KeyBinding) -> Vec<u8> {
    let mut out = vec![VERSION];
    put_lp(&mut out, label.text().as_bytes());
    out.extend_from_slice(wrapped_by.as_bytes());
    out.push(binding.purpose.byte());
    out.extend_from_slice(&binding.epoch.to_be_bytes());
    out.extend_from_slice(binding.context.canonical_bytes());
    out
}

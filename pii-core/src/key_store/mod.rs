//! Key stores: where wrapped data keys are kept, once per key instead of once per value.

mod file;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use futures_core::future::BoxFuture;
use sha2::{Digest as _, Sha256};

pub use file::FileKeyStore;

use crate::{
    context::EncryptionContext,
    error::Result,
    wire::{
        KeyId, Purpose, WrappedKey,
        encode::{hex, put_lp},
    },
};

/// What has one active data key at a time: a keyring, a context and a purpose.
#[derive(Clone)]
pub struct KeySlot {
    /// The name of the keyring in the program's configuration; `default` where there is one.
    pub keyring: Arc<str>,
    /// The encryption context.
    pub context: Arc<EncryptionContext>,
    /// What the data key is for.
    pub purpose: Purpose,
}

impl KeySlot {
    /// 32 hex digits that stand for the slot in a store: the first half of a SHA-256 hash.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut bytes = Vec::new();
        put_lp(&mut bytes, self.keyring.as_bytes());
        bytes.push(self.purpose.byte());
        bytes.extend_from_slice(self.context.canonical_bytes());
        let hash = Sha256::digest(&bytes);
        hex(hash.first_chunk::<16>().map_or(&[][..], |half| half))
    }
}

impl PartialEq for KeySlot {
    fn eq(&self, other: &Self) -> bool {
        self.purpose == other.purpose
            && self.keyring == other.keyring
            && (Arc::ptr_eq(&self.context, &other.context) || self.context == other.context)
    }
}

impl Eq for KeySlot {}

impl Hash for KeySlot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.keyring.hash(state);
        self.context.canonical_bytes().hash(state);
        self.purpose.hash(state);
    }
}

impl fmt::Debug for KeySlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeySlot({}, {:?}, {})", self.keyring, self.context, self.purpose.name())
    }
}

/// The life of a data key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It seals and opens.
    Active,
    /// It opens only.
    DecryptOnly,
    /// Its copies are gone for good: values under it are erased.
    Destroyed,
}

impl KeyState {
    /// The text that stands for it in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::DecryptOnly => "decrypt-only",
            Self::Destroyed => "destroyed",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Active, Self::DecryptOnly, Self::Destroyed].into_iter().find(|state| state.name() == name)
    }
}

/// A data key as it is stored: wrapped. Its fields are claims; unwrapping with the expected binding
/// is what proves them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Names the data key and commits to it.
    pub key_id: KeyId,
    /// What it is for.
    pub slot: KeySlot,
    /// Its generation.
    pub epoch: u32,
    /// Its state.
    pub state: KeyState,
    /// When it was made: RFC 3339, UTC, whole seconds.
    pub created: String,
    /// The wrapped copies, 1 to 8; none when destroyed.
    pub copies: Vec<WrappedKey>,
}

/// Keeps key records. What it returns from [`KeyStore::elect`] must be durable: the first value
/// sealed under the key may be stored right after.
pub trait KeyStore: Send + Sync + 'static {
    /// The record of this key, also a destroyed one.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the store can't be reached,
    /// [`Malformed`](crate::ErrorKind::Malformed) if the record is damaged.
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>>;

    /// The record of the active key of this slot with the highest epoch.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>>;

    /// Proposes a new key for its slot and epoch. Exactly one proposal per slot and epoch wins,
    /// whatever the number of processes; all of them get the winner's record.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>>;
}

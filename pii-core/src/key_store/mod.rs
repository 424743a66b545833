//! Key stores: where wrapped data keys are kept, once per key instead of once per value.

mod file;
mod json;

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use futures_core::future::BoxFuture;
use sha2::{Digest as _, Sha256};

pub use file::FileKeyStore;
#[cfg(feature = "public-keyring")]
pub(crate) use json::CopyJson;

use crate::{
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    wire::{
        KeyId, Purpose, WrappedKey,
        copies::MAX_COPIES,
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

impl KeyRecord {
    /// Whether a store may put `new` in the place of this record.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if they differ in more than state and copies, if a destroyed
    /// key would come back, or if the number of copies does not fit the state.
    pub fn check_replacement(&self, new: &Self) -> Result<()> {
        let wrong = |message: &str| {
            Err(Error::new(ErrorKind::Configuration).key(self.key_id).message(message.to_owned()))
        };
        let is_same_key = self.key_id == new.key_id
            && self.slot == new.slot
            && self.epoch == new.epoch
            && self.created == new.created;
        if !is_same_key {
            return wrong("a key record may change in its state and its copies only");
        }
        if self.state == KeyState::Destroyed && new.state != KeyState::Destroyed {
            return wrong("a destroyed data key can't come back");
        }
        if !new.has_fitting_copies() {
            return wrong("a data key has 1 to 8 copies, and a destroyed one has none");
        }
        Ok(())
    }

    /// 1 to 8 copies, or none when destroyed.
    #[must_use]
    pub fn has_fitting_copies(&self) -> bool {
        match self.state {
            KeyState::Destroyed => self.copies.is_empty(),
            KeyState::Active | KeyState::DecryptOnly => (1..=MAX_COPIES).contains(&self.copies.len()),
        }
    }
}

/// One key id of a [`KeyStore::list`], with its record or with what is wrong with the record.
pub type ListedKey = (KeyId, Result<KeyRecord>);

/// Keeps key records. What it says it has kept must be durable: the first value sealed under the
/// key may be stored right after.
///
/// A store that takes part in transactions of the application must use a connection of its own: a
/// record that is rolled back with the application's rows loses values of other processes.
pub trait KeyStore: Send + Sync + 'static {
    /// The record of this key, also a destroyed one.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the store can't be reached,
    /// [`Malformed`](crate::ErrorKind::Malformed) if the record is damaged.
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>>;

    /// The record of the elected key of this slot with the highest epoch, whatever its state.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>>;

    /// The record that won the election of this slot and epoch, whatever its state.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn elected<'a>(&'a self, slot: &'a KeySlot, epoch: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>>;

    /// Proposes a new key for its slot and epoch. Exactly one proposal per slot and epoch wins,
    /// whatever the number of processes; all of them get the winner's record. Nothing is kept of a
    /// proposal that loses.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>>;

    /// Keeps a record under which values may exist already: one that got lost, one from a backup,
    /// or one of a purpose without elections. A record of the same key that is there already stays
    /// as it is. If the slot has no winner for the epoch, and its purpose has elections, the record
    /// becomes the winner. Gives what is stored now.
    ///
    /// # Errors
    /// As [`KeyStore::load`].
    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>>;

    /// Puts `new` in the place of `current` if that is what is stored, in one step; says whether it
    /// was. Both are records of one key that differ in state and copies only:
    /// [`KeyRecord::check_replacement`].
    ///
    /// # Errors
    /// As [`KeyStore::load`], and those of [`KeyRecord::check_replacement`].
    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>>;

    /// Up to `limit` keys in the order of their ids, beginning after `after`; fewer mean that
    /// there are no more. A damaged record is an error of its own entry.
    ///
    /// # Errors
    /// [`KeyUnavailable`](crate::ErrorKind::KeyUnavailable) if the store can't be reached.
    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>>;
}

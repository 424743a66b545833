//! Where data keys come from: keyrings and key store, without any cache. Here are the keys that open
//! values; those that seal are in `electing`.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{calls::Calls, held::HeldRecords, indexing::HeldIndexRecords, limits::DataKeyRotation};
use crate::{
    context::EncryptionContext,
    crypto::{DataKey, SealingKey},
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
    keyring::{KeyBinding, Keyring},
    wire::{KeyId, Purpose, WrappedKey, copies::CopiesBlock},
};

/// The key that seals new values of a slot, with the header that they get.
#[derive(Clone)]
pub(crate) struct ActiveKey {
    pub(crate) key: Arc<SealingKey>,
    /// version, layout, key id and, without a store, the copies
    pub(crate) header: Arc<[u8]>,
    /// values that this process has sealed under it
    pub(super) sealed: Arc<AtomicU64>,
}

/// What a stored value says about its data key, and what its place demands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyRequest {
    pub(crate) key_id: KeyId,
    pub(crate) slot: KeySlot,
    /// the copies block of layout 2
    pub(crate) copies: Option<Arc<[u8]>>,
}

pub(super) struct KeySource {
    pub(super) keyrings: BTreeMap<Arc<str>, Arc<dyn Keyring>>,
    pub(super) store: Option<Arc<dyn KeyStore>>,
    pub(super) rotation: DataKeyRotation,
    pub(super) held: HeldRecords,
    pub(super) held_index: HeldIndexRecords,
    /// to keyrings, of the whole cryptor
    pub(super) calls: Arc<Calls>,
    pub(super) counters: Arc<SourceCounters>,
}

#[derive(Default)]
pub(super) struct SourceCounters {
    pub(super) generated: AtomicU64,
    pub(super) unwrapped: AtomicU64,
    pub(super) restored: AtomicU64,
}

impl KeySource {
    pub(super) fn keyring(&self, name: &str) -> Result<&Arc<dyn Keyring>> {
        self.keyrings.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Configuration).message(format!("there is no keyring `{name}`"))
        })
    }

    /// The key that opens a value.
    pub(super) async fn opening(&self, request: &KeyRequest) -> Result<Arc<SealingKey>> {
        let record = match self.store.as_deref() {
            Some(store) => self.load(store, request).await?,
            None => None,
        };
        if let Some(tombstone) = record.as_ref().filter(|record| record.state == KeyState::Destroyed) {
            self.held.bury(tombstone);
            return Err(erased(request.key_id));
        }
        match (&request.copies, record) {
            (Some(block), _) => {
                let CopiesBlock { purpose, epoch, copies } = CopiesBlock::parse(block)?;
                let data_key = self.unwrap(copies, purpose, epoch, request.key_id, &request.slot).await?;
                Ok(SealingKey::new(&data_key))
            }
            (None, Some(record)) => {
                let key = SealingKey::new(&self.unwrap_record(&record, &request.slot).await?);
                self.held.hold(&record, &key);
                Ok(key)
            }
            (None, None) => Err(unknown_key(request.key_id, self.store.is_some())),
        }
    }

    /// The record of a value's key; one that the store has lost and this process has not is put back.
    async fn load(&self, store: &dyn KeyStore, request: &KeyRequest) -> Result<Option<KeyRecord>> {
        if let Some(record) = store.load(request.key_id).await? {
            return Ok(Some(record));
        }
        let Some(held) = self.held.get(request.key_id) else { return Ok(None) };
        match self.put_back(store, &held).await {
            Ok(stored) => Ok(Some(stored)),
            Err(error) => {
                // what is sealed stays readable here, even if this process may not write to the store
                tracing::warn!(key = %held.key_id, %error, "the record of a data key could not be put back");
                Ok(Some(held))
            }
        }
    }

    /// Puts back a record that the key store has lost, and those that it has lost of the same slot: a
    /// store from a backup lacks all that is younger.
    pub(super) async fn put_back(&self, store: &dyn KeyStore, held: &KeyRecord) -> Result<KeyRecord> {
        let stored = self.insert_again(store, held).await?;
        for other in self.held.beside(held) {
            if store.load(other.key_id).await?.is_none() {
                self.insert_again(store, &other).await?;
            }
        }
        Ok(stored)
    }

    async fn insert_again(&self, store: &dyn KeyStore, held: &KeyRecord) -> Result<KeyRecord> {
        tracing::warn!(key = %held.key_id, "the key store has lost the record of a data key; it is put back");
        let stored = store.insert(held).await?;
        self.counters.restored.fetch_add(1, Ordering::Relaxed);
        Ok(stored)
    }

    pub(super) async fn unwrap_record(&self, record: &KeyRecord, slot: &KeySlot) -> Result<DataKey> {
        if record.slot.keyring != slot.keyring {
            return Err(Error::new(ErrorKind::KeyMissing).key(record.key_id).message(format!(
                "the data key belongs to another keyring than `{}`, that of the field",
                slot.keyring
            )));
        }
        if record.slot.context != slot.context {
            return Err(wrong_context(&slot.context).key(record.key_id));
        }
        self.unwrap(record.copies.clone(), record.slot.purpose, record.epoch, record.key_id, slot).await
    }

    async fn unwrap(
        &self,
        copies: Vec<WrappedKey>,
        purpose: Purpose,
        epoch: u32,
        key_id: KeyId,
        slot: &KeySlot,
    ) -> Result<DataKey> {
        if !purpose.seals_values() {
            return Err(Error::new(ErrorKind::Integrity).key(key_id));
        }
        self.unwrap_any(copies, purpose, epoch, key_id, slot).await
    }

    /// As `unwrap`, whatever the key is for.
    pub(super) async fn unwrap_any(
        &self,
        copies: Vec<WrappedKey>,
        purpose: Purpose,
        epoch: u32,
        key_id: KeyId,
        slot: &KeySlot,
    ) -> Result<DataKey> {
        let binding = KeyBinding { context: Arc::clone(&slot.context), purpose, epoch };
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        let keyring = Arc::clone(self.keyring(&slot.keyring)?);
        let counters = Arc::clone(&self.counters);
        let call = async move {
            counters.unwrapped.fetch_add(1, Ordering::Relaxed);
            keyring.unwrap(&copies, &binding, &is_wanted).await
        };
        let data_key = self.calls.run(call).await.map_err(|error| error.key(key_id))?;
        // the key id commits to the key: a keyring that forgot to ask is caught here
        if is_wanted(&data_key) { Ok(data_key) } else { Err(Error::new(ErrorKind::Integrity).key(key_id)) }
    }

    pub(super) async fn generate(
        &self,
        slot: &KeySlot,
        binding: KeyBinding,
    ) -> Result<(DataKey, Vec<WrappedKey>)> {
        let keyring = Arc::clone(self.keyring(&slot.keyring)?);
        let counters = Arc::clone(&self.counters);
        let (purpose, epoch) = (binding.purpose, binding.epoch);
        let call = async move {
            counters.generated.fetch_add(1, Ordering::Relaxed);
            keyring.generate(&binding).await
        };
        let generated = self.calls.run(call).await?;
        if CopiesBlock::encode(purpose, epoch, &generated.copies).is_none() {
            return Err(bad_copies("none, more than 8, or too long"));
        }
        Ok((generated.data_key, generated.copies))
    }
}

pub(super) fn bad_copies(what: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!("the keyring gave wrapped copies that cannot be stored: {what}"))
}

pub(super) fn erased(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Erased).key(key_id).message("its data key was destroyed")
}

fn wrong_context(expected: &EncryptionContext) -> Error {
    Error::new(ErrorKind::ContextMismatch)
        .message(format!("the value was sealed under other values of its context ({})", expected.names()))
}

fn unknown_key(key_id: KeyId, has_store: bool) -> Error {
    let error = Error::new(ErrorKind::KeyMissing).key(key_id);
    if has_store {
        error.message("the key store has no record of the data key").help(
            "restore the key store from a backup, or check that this is the store the value was written with",
        )
    } else {
        error
            .message("the value's data key is in a key store, and this cryptor has none")
            .help("add the key store: `.key_store(...)`")
    }
}

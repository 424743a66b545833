//! Where data keys come from: keyrings and key store, without any cache.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use async_lock::Semaphore;

use super::{held::HeldRecords, limits::DataKeyRotation};
use crate::{
    context::EncryptionContext,
    crypto::{DataKey, SealingKey},
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
    keyring::{KeyBinding, Keyring},
    wire::{KeyId, Layout, Purpose, WrappedKey, copies::CopiesBlock, header},
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
    /// for calls to keyrings, of the whole cryptor
    pub(super) permits: Semaphore,
    pub(super) counters: SourceCounters,
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

    /// The key that seals new values of the slot.
    pub(super) async fn active(&self, slot: &KeySlot) -> Result<ActiveKey> {
        let Some(store) = self.store.as_deref() else { return self.inline(slot).await };
        let (data_key, record) = match slot.purpose.is_elected() {
            true => self.elected(store, slot).await?,
            false => self.own(store, slot).await?,
        };
        let header = header::fixed_part(Layout::KeyStore, record.key_id);
        Ok(ActiveKey {
            key: Arc::new(SealingKey::new(&data_key)),
            header: header.as_slice().into(),
            sealed: self.held.hold_active(&record),
        })
    }

    /// A new key, whose copies travel in the values.
    async fn inline(&self, slot: &KeySlot) -> Result<ActiveKey> {
        let binding = binding_of(slot, 0);
        let (data_key, copies) = self.generate(slot, &binding).await?;
        let mut header = header::fixed_part(Layout::InlineCopies, data_key.id()).to_vec();
        let block = CopiesBlock::encode(binding.purpose, binding.epoch, &copies);
        header.extend(block.ok_or_else(|| bad_copies("too many or too long"))?);
        Ok(ActiveKey {
            key: Arc::new(SealingKey::new(&data_key)),
            header: header.into(),
            sealed: Arc::default(),
        })
    }

    /// A new key of this process alone, which takes part in no election and is never unwrapped here.
    async fn own(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<(DataKey, KeyRecord)> {
        if let Some(held) = self.held.active(slot)
            && store.load(held.key_id).await?.is_none()
        {
            self.put_back(store, &held).await?;
        }
        let (data_key, record) = self.propose(slot, 0).await?;
        store.insert(&record).await?;
        let stored = read_back(store, &record).await?;
        Ok((data_key, stored))
    }

    /// The key on which all processes agree.
    async fn elected(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<(DataKey, KeyRecord)> {
        let Some(record) = self.newest(store, slot).await? else { return self.make(store, slot, 0).await };
        match record.state {
            KeyState::Destroyed => Err(erased(record.key_id)
                .help("its context was erased, and takes no new values: use another context")),
            KeyState::DecryptOnly => self.make(store, slot, next(record.epoch)?).await,
            KeyState::Active if !self.is_due(&record) => self.unwrap_active(record, slot).await,
            KeyState::Active => match self.make(store, slot, next(record.epoch)?).await {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(key = %record.key_id, %error, "the data key could not be rotated yet");
                    self.unwrap_active(record, slot).await
                }
                made => made,
            },
        }
    }

    /// The elected record of the highest epoch. If the store has lost the one that this process
    /// seals with, that one is put back first: values are stored under it.
    async fn newest(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let found = store.active(slot).await;
        let Some(held) = self.held.active(slot) else { return found };
        let found = match found {
            Ok(Some(record)) if record.key_id == held.key_id => return Ok(Some(record)),
            // the election is there, the record is not
            Err(error) if error.kind() == ErrorKind::KeyMissing => None,
            found => found?,
        };
        if store.load(held.key_id).await?.is_some() {
            return Ok(found);
        }
        match (self.put_back(store, &held).await, found) {
            (Ok(_), _) => store.active(slot).await,
            (Err(error), Some(found)) => {
                tracing::warn!(key = %held.key_id, %error, "the record of a data key could not be put back");
                Ok(Some(found))
            }
            (Err(error), None) => Err(error),
        }
    }

    fn is_due(&self, record: &KeyRecord) -> bool {
        if self.rotation.after_values.is_some_and(|values| self.held.sealed(record.key_id) >= values) {
            return true;
        }
        let Some(after) = self.rotation.after else { return false };
        // a clock that went back makes no key old; a time that can't be read does
        let Ok(created) = humantime::parse_rfc3339(&record.created) else { return true };
        SystemTime::now().duration_since(created).is_ok_and(|age| age >= after)
    }

    async fn unwrap_active(&self, record: KeyRecord, slot: &KeySlot) -> Result<(DataKey, KeyRecord)> {
        check_elected(&record, slot)?;
        let data_key = self.unwrap_record(&record, slot).await?;
        Ok((data_key, record))
    }

    /// Makes the key of an epoch, unless another process is faster.
    async fn make(&self, store: &dyn KeyStore, slot: &KeySlot, epoch: u32) -> Result<(DataKey, KeyRecord)> {
        let (data_key, proposal) = self.propose(slot, epoch).await?;
        let winner = store.elect(&proposal).await?;
        let expected = if winner.key_id == proposal.key_id { &proposal } else { &winner };
        let stored = read_back(store, expected).await?;
        match stored.state {
            KeyState::Active => {}
            KeyState::Destroyed => return Err(erased(stored.key_id)),
            KeyState::DecryptOnly => {
                return Err(Error::new(ErrorKind::KeyUnavailable)
                    .key(stored.key_id)
                    .message("the data keys were rotated by another process meanwhile"));
            }
        }
        match stored.key_id == proposal.key_id {
            true => Ok((data_key, stored)),
            false => self.unwrap_active(stored, slot).await,
        }
    }

    async fn propose(&self, slot: &KeySlot, epoch: u32) -> Result<(DataKey, KeyRecord)> {
        let (data_key, copies) = self.generate(slot, &binding_of(slot, epoch)).await?;
        let proposal = KeyRecord {
            key_id: data_key.id(),
            slot: slot.clone(),
            epoch,
            state: KeyState::Active,
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            copies,
        };
        Ok((data_key, proposal))
    }

    /// The key that opens a value.
    pub(super) async fn opening(&self, request: &KeyRequest) -> Result<Arc<SealingKey>> {
        let record = match self.store.as_deref() {
            Some(store) => self.load(store, request).await?,
            None => None,
        };
        if record.as_ref().is_some_and(|record| record.state == KeyState::Destroyed) {
            self.held.forget(request.key_id);
            return Err(erased(request.key_id));
        }
        let data_key = match (&request.copies, record) {
            (Some(block), _) => {
                let CopiesBlock { purpose, epoch, copies } = CopiesBlock::parse(block)?;
                self.unwrap(&copies, purpose, epoch, request.key_id, &request.slot).await?
            }
            (None, Some(record)) => {
                let data_key = self.unwrap_record(&record, &request.slot).await?;
                self.held.hold(&record);
                data_key
            }
            (None, None) => return Err(unknown_key(request.key_id, self.store.is_some())),
        };
        Ok(Arc::new(SealingKey::new(&data_key)))
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

    async fn put_back(&self, store: &dyn KeyStore, held: &KeyRecord) -> Result<KeyRecord> {
        tracing::warn!(key = %held.key_id, "the key store has lost the record of a data key; it is put back");
        let stored = store.insert(held).await?;
        self.counters.restored.fetch_add(1, Ordering::Relaxed);
        Ok(stored)
    }

    async fn unwrap_record(&self, record: &KeyRecord, slot: &KeySlot) -> Result<DataKey> {
        if record.slot.keyring != slot.keyring {
            return Err(Error::new(ErrorKind::KeyMissing).key(record.key_id).message(format!(
                "the data key belongs to another keyring than `{}`, that of the field",
                slot.keyring
            )));
        }
        if record.slot.context != slot.context {
            return Err(wrong_context(&slot.context).key(record.key_id));
        }
        self.unwrap(&record.copies, record.slot.purpose, record.epoch, record.key_id, slot).await
    }

    async fn unwrap(
        &self,
        copies: &[WrappedKey],
        purpose: Purpose,
        epoch: u32,
        key_id: KeyId,
        slot: &KeySlot,
    ) -> Result<DataKey> {
        if !purpose.seals_values() {
            return Err(Error::new(ErrorKind::Integrity).key(key_id));
        }
        let binding = KeyBinding { context: Arc::clone(&slot.context), purpose, epoch };
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        let keyring = self.keyring(&slot.keyring)?;
        let _permit = self.permits.acquire().await;
        self.counters.unwrapped.fetch_add(1, Ordering::Relaxed);
        let data_key =
            keyring.unwrap(copies, &binding, &is_wanted).await.map_err(|error| error.key(key_id))?;
        // the key id commits to the key: a keyring that forgot to ask is caught here
        if is_wanted(&data_key) { Ok(data_key) } else { Err(Error::new(ErrorKind::Integrity).key(key_id)) }
    }

    async fn generate(&self, slot: &KeySlot, binding: &KeyBinding) -> Result<(DataKey, Vec<WrappedKey>)> {
        let keyring = self.keyring(&slot.keyring)?;
        let _permit = self.permits.acquire().await;
        self.counters.generated.fetch_add(1, Ordering::Relaxed);
        let generated = keyring.generate(binding).await?;
        if CopiesBlock::encode(binding.purpose, binding.epoch, &generated.copies).is_none() {
            return Err(bad_copies("none, more than 8, or too long"));
        }
        Ok((generated.data_key, generated.copies))
    }
}

fn binding_of(slot: &KeySlot, epoch: u32) -> KeyBinding {
    KeyBinding { context: Arc::clone(&slot.context), purpose: slot.purpose, epoch }
}

/// Only what can be read back may seal a value.
async fn read_back(store: &dyn KeyStore, expected: &KeyRecord) -> Result<KeyRecord> {
    let stored = store.load(expected.key_id).await?.filter(|stored| stored == expected);
    stored.ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable)
            .key(expected.key_id)
            .message("the key store did not keep the record of a new data key")
    })
}

fn check_elected(record: &KeyRecord, slot: &KeySlot) -> Result<()> {
    if record.slot.purpose != slot.purpose {
        return Err(Error::new(ErrorKind::Integrity)
            .key(record.key_id)
            .message("the elected data key is for another purpose"));
    }
    Ok(())
}

fn next(epoch: u32) -> Result<u32> {
    epoch
        .checked_add(1)
        .ok_or_else(|| Error::new(ErrorKind::Configuration).message("the data key has no further epoch"))
}

fn bad_copies(what: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!("the keyring gave wrapped copies that cannot be stored: {what}"))
}

fn erased(key_id: KeyId) -> Error {
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

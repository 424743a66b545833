//! The codes of blind indexes, and the keys that they are computed with: one for each context and
//! epoch, on which all processes agree.

use std::sync::{Arc, Mutex};

use hashlink::LinkedHashMap;

use super::{
    cache::lock,
    electing::read_back,
    keys::KeyService,
    source::{KeySource, erased},
};
use crate::{
    context::EncryptionContext,
    crypto::{CODE_BYTES, DataKey, IndexKey},
    cryptor::IndexItem,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
};

/// The codes of a batch, in order.
pub(super) async fn codes(keys: &KeyService, batch: &[IndexItem<'_>]) -> Result<Vec<[u8; CODE_BYTES]>> {
    let mut used: Vec<(IndexSlot<'_>, Arc<IndexKey>)> = Vec::new();
    let mut codes = Vec::with_capacity(batch.len());
    for item in batch {
        let slot = IndexSlot { keyring: item.keyring, context: item.context, epoch: item.epoch };
        let known = used.iter().position(|(known, _)| known.is(&slot));
        let key = match known.and_then(|known| used.get(known)) {
            Some((_, key)) => Arc::clone(key),
            None => {
                let (messages, bytes) = slot.uses(batch);
                let key = keys.index(slot.keyring, slot.context, slot.epoch, messages, bytes).await?;
                used.push((slot, Arc::clone(&key)));
                key
            }
        };
        codes.push(key.code(item.info, item.input));
    }
    Ok(codes)
}

#[derive(Clone, Copy)]
struct IndexSlot<'a> {
    keyring: Option<&'static str>,
    context: &'a Arc<EncryptionContext>,
    epoch: u32,
}

impl IndexSlot<'_> {
    fn is(&self, other: &IndexSlot<'_>) -> bool {
        self.epoch == other.epoch
            && self.keyring == other.keyring
            && (Arc::ptr_eq(self.context, other.context) || self.context == other.context)
    }

    /// How many values the batch has for it, and how many bytes.
    fn uses(&self, batch: &[IndexItem<'_>]) -> (u64, u64) {
        let own = batch.iter().filter(|item| {
            self.is(&IndexSlot { keyring: item.keyring, context: item.context, epoch: item.epoch })
        });
        own.fold((0, 0), |(messages, bytes): (u64, u64), item| {
            let length = u64::try_from(item.input.len()).unwrap_or(u64::MAX);
            (messages.saturating_add(1), bytes.saturating_add(length))
        })
    }
}

impl KeySource {
    /// The index key of a slot and epoch. Its state does not matter, unless it was destroyed: an index is
    /// written for as long as the model says so.
    pub(super) async fn index(&self, slot: &KeySlot, epoch: u32) -> Result<Arc<IndexKey>> {
        let store = self.store.as_deref().ok_or_else(no_store)?;
        let (data_key, record) = match self.index_record(store, slot, epoch).await? {
            Some(record) => (None, record),
            None => {
                let (data_key, record) = self.elect_index(store, slot, epoch).await?;
                (Some(data_key).filter(|key| key.id() == record.key_id), record)
            }
        };
        if record.slot != *slot || record.epoch != epoch {
            return Err(Error::new(ErrorKind::Integrity)
                .key(record.key_id)
                .message("the elected index key is one of another slot or epoch"));
        }
        if record.state == KeyState::Destroyed {
            self.held_index.forget(slot, epoch);
            return Err(erased(record.key_id).help("its context was erased, and takes no new values"));
        }
        let data_key = match data_key {
            Some(data_key) => data_key,
            None => {
                let copies = record.copies.clone();
                self.unwrap_any(copies, slot.purpose, epoch, record.key_id, slot).await?
            }
        };
        self.held_index.hold(&record);
        Ok(IndexKey::new(data_key))
    }

    /// The record that exists, after putting back one that the store has lost: with another key, nothing
    /// that is indexed would be found any more.
    async fn index_record(
        &self,
        store: &dyn KeyStore,
        slot: &KeySlot,
        epoch: u32,
    ) -> Result<Option<KeyRecord>> {
        if let Some(held) = self.held_index.get(slot, epoch) {
            return match store.load(held.key_id).await? {
                Some(record) => Ok(Some(record)),
                None => {
                    tracing::warn!(key = %held.key_id, "the key store has lost the record of an index key; it is put back");
                    store.insert(&held).await.map(Some)
                }
            };
        }
        if let Some(record) = store.elected(slot, epoch).await? {
            return Ok(Some(record));
        }
        // the context was erased: its slots get no keys any more
        match store.active(slot).await? {
            Some(newest) if newest.state == KeyState::Destroyed => {
                Err(erased(newest.key_id).help("its context was erased, and takes no new values"))
            }
            _ => Ok(None),
        }
    }

    /// Proposes a key; if another process is faster, its key is it.
    async fn elect_index(
        &self,
        store: &dyn KeyStore,
        slot: &KeySlot,
        epoch: u32,
    ) -> Result<(DataKey, KeyRecord)> {
        let (data_key, proposal) = self.propose(slot, epoch).await?;
        let winner = store.elect(&proposal).await?;
        let is_ours = winner.key_id == proposal.key_id;
        let stored = read_back(store, if is_ours { &proposal } else { &winner }).await?;
        Ok((data_key, stored))
    }
}

fn no_store() -> Error {
    Error::new(ErrorKind::Configuration)
        .message(
            "blind indexes need a key store: without one, no two processes would have the same index key",
        )
        .help("add the key store: `.key_store(...)`")
}

/// Records of index keys that this process uses: wrapped, so no secret.
pub(super) struct HeldIndexRecords {
    capacity: usize,
    records: Mutex<LinkedHashMap<(KeySlot, u32), KeyRecord>>,
}

impl HeldIndexRecords {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, records: Mutex::default() }
    }

    fn get(&self, slot: &KeySlot, epoch: u32) -> Option<KeyRecord> {
        lock(&self.records).get(&(slot.clone(), epoch)).cloned()
    }

    fn hold(&self, record: &KeyRecord) {
        let mut records = lock(&self.records);
        if records.len() >= self.capacity {
            records.pop_front();
        }
        records.insert((record.slot.clone(), record.epoch), record.clone());
    }

    fn forget(&self, slot: &KeySlot, epoch: u32) {
        lock(&self.records).remove(&(slot.clone(), epoch));
    }
}

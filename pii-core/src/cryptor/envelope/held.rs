//! Records whose keys this process has used: wrapped, so no secret, and enough to put one back that
//! the key store has lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::AtomicU64},
};

use hashlink::LinkedHashMap;

use super::cache::lock;
use crate::{
    key_store::{KeyRecord, KeySlot},
    wire::KeyId,
};

pub(super) struct HeldRecords {
    capacity: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    records: LinkedHashMap<KeyId, HeldRecord>,
    active: HashMap<KeySlot, KeyId>,
}

struct HeldRecord {
    record: KeyRecord,
    sealed: Arc<AtomicU64>,
}

impl HeldRecords {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, held: Mutex::default() }
    }

    /// Holds the record of a key that was made or unwrapped here; gives the counter of the values
    /// that this process has sealed under it.
    pub(super) fn hold(&self, record: &KeyRecord) -> Arc<AtomicU64> {
        let mut held = lock(&self.held);
        if let Some(known) = held.records.get_mut(&record.key_id) {
            known.record.clone_from(record);
            let sealed = Arc::clone(&known.sealed);
            held.records.to_back(&record.key_id);
            return sealed;
        }
        if held.records.len() >= self.capacity
            && let Some((key_id, oldest)) = held.records.pop_front()
            && held.active.get(&oldest.record.slot) == Some(&key_id)
        {
            held.active.remove(&oldest.record.slot);
        }
        let sealed = Arc::new(AtomicU64::new(0));
        let new = HeldRecord { record: record.clone(), sealed: Arc::clone(&sealed) };
        held.records.insert(record.key_id, new);
        sealed
    }

    /// As [`HeldRecords::hold`], for the key that seals new values of its slot.
    pub(super) fn hold_active(&self, record: &KeyRecord) -> Arc<AtomicU64> {
        let sealed = self.hold(record);
        lock(&self.held).active.insert(record.slot.clone(), record.key_id);
        sealed
    }

    pub(super) fn get(&self, key_id: KeyId) -> Option<KeyRecord> {
        lock(&self.held).records.get(&key_id).map(|held| held.record.clone())
    }

    pub(super) fn active(&self, slot: &KeySlot) -> Option<KeyRecord> {
        let held = lock(&self.held);
        let key_id = held.active.get(slot)?;
        held.records.get(key_id).map(|held| held.record.clone())
    }

    /// How many values this process has sealed under a key.
    pub(super) fn sealed(&self, key_id: KeyId) -> u64 {
        let held = lock(&self.held);
        held.records.get(&key_id).map_or(0, |held| held.sealed.load(std::sync::atomic::Ordering::Relaxed))
    }

    /// Its key was destroyed.
    pub(super) fn forget(&self, key_id: KeyId) {
        let mut held = lock(&self.held);
        if let Some(gone) = held.records.remove(&key_id)
            && held.active.get(&gone.record.slot) == Some(&key_id)
        {
            held.active.remove(&gone.record.slot);
        }
    }
}

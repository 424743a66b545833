//! Records whose keys this process has used: wrapped, so no secret, and enough to put one back that
//! the key store has lost.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use hashlink::LinkedHashMap;

use super::cache::lock;
use crate::{
    crypto::SealingKey,
    key_store::{KeyRecord, KeySlot},
    wire::KeyId,
};

/// So many records are looked at to make room for one.
const LOOKS: usize = 8;

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
    /// by the cache for sealing and by the one for opening
    in_use: [Weak<SealingKey>; 2],
}

impl HeldRecord {
    fn is_in_use(&self) -> bool {
        self.in_use.iter().any(|key| key.strong_count() > 0)
    }
}

#[derive(Clone, Copy)]
enum Use {
    Sealing,
    Opening,
}

impl HeldRecords {
    /// Room for at least so many; a record whose key is in use is not pushed out.
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, held: Mutex::default() }
    }

    /// Holds the record of a key that was unwrapped here to open values.
    pub(super) fn hold(&self, record: &KeyRecord, key: &Arc<SealingKey>) {
        lock(&self.held).hold(record, key, Use::Opening, self.capacity);
    }

    /// Holds the record of the key that seals new values of its slot; gives the counter of the
    /// values that this process has sealed under it.
    pub(super) fn hold_active(&self, record: &KeyRecord, key: &Arc<SealingKey>) -> Arc<AtomicU64> {
        let mut held = lock(&self.held);
        held.active.insert(record.slot.clone(), record.key_id);
        held.hold(record, key, Use::Sealing, self.capacity)
    }

    pub(super) fn get(&self, key_id: KeyId) -> Option<KeyRecord> {
        lock(&self.held).records.get(&key_id).map(|held| held.record.clone())
    }

    pub(super) fn active(&self, slot: &KeySlot) -> Option<KeyRecord> {
        let held = lock(&self.held);
        let key_id = held.active.get(slot)?;
        held.records.get(key_id).map(|held| held.record.clone())
    }

    /// The other ones of its slot.
    pub(super) fn beside(&self, record: &KeyRecord) -> Vec<KeyRecord> {
        let held = lock(&self.held);
        let others = held.records.values().map(|held| &held.record);
        others.filter(|other| other.slot == record.slot && other.key_id != record.key_id).cloned().collect()
    }

    /// How many values this process has sealed under a key.
    pub(super) fn sealed(&self, key_id: KeyId) -> u64 {
        let held = lock(&self.held);
        held.records.get(&key_id).map_or(0, |held| held.sealed.load(Ordering::Relaxed))
    }

    /// Takes the tombstone in the place of a held record, so that neither comes to life again.
    pub(super) fn bury(&self, tombstone: &KeyRecord) {
        if let Some(held) = lock(&self.held).records.get_mut(&tombstone.key_id) {
            held.record.clone_from(tombstone);
        }
    }
}

impl Held {
    fn hold(
        &mut self,
        record: &KeyRecord,
        key: &Arc<SealingKey>,
        of: Use,
        capacity: usize,
    ) -> Arc<AtomicU64> {
        let key = Arc::downgrade(key);
        if let Some(known) = self.records.get_mut(&record.key_id) {
            known.record.clone_from(record);
            let [sealing, opening] = &mut known.in_use;
            match of {
                Use::Sealing => *sealing = key,
                Use::Opening => *opening = key,
            }
            let sealed = Arc::clone(&known.sealed);
            self.records.to_back(&record.key_id);
            return sealed;
        }
        for _ in 0..LOOKS {
            if self.records.len() < capacity {
                break;
            }
            let Some((key_id, oldest)) = self.records.front().map(|(key_id, held)| (*key_id, held)) else {
                break;
            };
            match oldest.is_in_use() {
                true => drop(self.records.to_back(&key_id)),
                false => self.remove(key_id),
            }
        }
        let sealed = Arc::new(AtomicU64::new(0));
        let in_use = match of {
            Use::Sealing => [key, Weak::new()],
            Use::Opening => [Weak::new(), key],
        };
        let new = HeldRecord { record: record.clone(), sealed: Arc::clone(&sealed), in_use };
        self.records.insert(record.key_id, new);
        sealed
    }

    fn remove(&mut self, key_id: KeyId) {
        if let Some(gone) = self.records.remove(&key_id)
            && self.active.get(&gone.record.slot) == Some(&key_id)
        {
            self.active.remove(&gone.record.slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crypto::DataKey, key_store::KeyState, wire::Purpose};

    fn key_of(number: u8) -> (KeyRecord, Arc<SealingKey>) {
        let key = SealingKey::new(&DataKey::generate().unwrap());
        let context = crate::ctx!(tenant = format!("tenant {number}")).unwrap();
        let record = KeyRecord {
            key_id: key.id(),
            slot: KeySlot { keyring: "default".into(), context: context.into(), purpose: Purpose::Seal },
            epoch: 0,
            state: KeyState::Active,
            created: "2026-01-01T00:00:00Z".to_owned(),
            copies: Vec::new(),
        };
        (record, key)
    }

    #[test]
    fn a_record_whose_key_is_in_use_is_not_pushed_out() {
        let held = HeldRecords::new(2);
        let ((opened, opening), (sealed, sealing)) = (key_of(0), key_of(1));
        held.hold(&opened, &opening);
        held.hold_active(&sealed, &sealing).fetch_add(3, Ordering::Relaxed);
        // fetched anew
        let (first, opening) = (opening, SealingKey::new(&DataKey::generate().unwrap()));
        held.hold(&opened, &opening);
        drop(first);
        for number in 2..100 {
            let (record, key) = key_of(number);
            held.hold(&record, &key);
        }
        assert_eq!(held.get(opened.key_id), Some(opened.clone()));
        assert_eq!((held.active(&sealed.slot), held.sealed(sealed.key_id)), (Some(sealed.clone()), 3));
        drop((opening, sealing));
        for number in 100..110 {
            let (record, key) = key_of(number);
            held.hold(&record, &key);
        }
        assert_eq!((held.get(opened.key_id), held.active(&sealed.slot)), (None, None));
        assert!(lock(&held.held).records.len() <= 2);
    }
}

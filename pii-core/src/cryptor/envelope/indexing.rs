//! The codes of blind indexes, and the keys that they are computed with: one for each context and
//! epoch, on which all processes agree.

use std::sync::{Arc, Mutex};

use hashlink::LinkedHashMap;
use smallvec::SmallVec;

use super::{
    super::names::Names,
    cache::lock,
    electing::read_back,
    groups::GroupOf,
    keys::KeyService,
    source::{KeySource, erased},
};
use crate::{
    crypto::{CODE_BYTES, CodeKey, DataKey, IndexKey},
    cryptor::IndexItem,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
};

/// The codes of a batch, in order: one key for each slot, expanded once for each index.
pub(super) async fn codes(keys: &KeyService, batch: &[IndexItem<'_>]) -> Result<Vec<[u8; CODE_BYTES]>> {
    let (groups, group_of) = grouped(batch);
    let mut used = Vec::with_capacity(groups.len());
    for Group { first, messages, bytes } in groups {
        let key = keys.index(first.keyring, first.context, first.epoch, messages, bytes).await?;
        used.push(UsedKey { key, of_indexes: SmallVec::new() });
    }
    // from here on nothing waits
    Ok(codes_of(batch, &group_of, &mut used))
}

fn grouped<'a>(batch: &'a [IndexItem<'a>]) -> (Vec<Group<'a>>, GroupOf) {
    let mut groups = Groups::default();
    let mut group_of = GroupOf::new(batch.len());
    for item in batch {
        group_of.push(groups.add(item));
    }
    (groups.groups, group_of)
}

/// No part of the future that waits for keys: its variables would be memory.
fn codes_of<'a>(
    batch: &[IndexItem<'a>],
    group_of: &GroupOf,
    used: &mut [UsedKey<'a>],
) -> Vec<[u8; CODE_BYTES]> {
    let mut codes = Vec::with_capacity(batch.len());
    for (position, item) in batch.iter().enumerate() {
        let key = group_of.get(position).and_then(|group| used.get_mut(group));
        codes.extend(key.map(|key| key.code(item)));
    }
    codes
}

/// Values with the same index key.
struct Group<'a> {
    first: &'a IndexItem<'a>,
    messages: u64,
    bytes: u64,
}

/// What tells groups apart: the context, the keyring and the epoch.
type GroupName<'a> = (&'a [u8], Option<&'static str>, u32);

#[derive(Default)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
    known: Names<GroupName<'a>>,
    last: Option<(GroupName<'a>, usize)>,
}

impl<'a> Groups<'a> {
    /// The index of the value's group; neighbours mostly share one.
    #[inline]
    fn add(&mut self, item: &'a IndexItem<'a>) -> usize {
        let name = (item.context.canonical_bytes(), item.keyring, item.epoch);
        let index = match self.last {
            Some((last, index)) if std::ptr::eq(last.0, name.0) && (last.1, last.2) == (name.1, name.2) => {
                index
            }
            _ => self.find(item, name),
        };
        if let Some(group) = self.groups.get_mut(index) {
            group.messages = group.messages.saturating_add(1);
            group.bytes = group.bytes.saturating_add(u64::try_from(item.input.len()).unwrap_or(u64::MAX));
        }
        index
    }

    fn find(&mut self, item: &'a IndexItem<'a>, name: GroupName<'a>) -> usize {
        let index = match self.known.find(&name) {
            Some(known) => known,
            None => {
                self.groups.push(Group { first: item, messages: 0, bytes: 0 });
                self.known.add(name)
            }
        };
        self.last = Some((name, index));
        index
    }
}

/// A key with what it was expanded to in this batch.
struct UsedKey<'a> {
    key: Arc<IndexKey>,
    of_indexes: SmallVec<[(&'a [u8], CodeKey); 2]>,
}

impl<'a> UsedKey<'a> {
    fn code(&mut self, item: &IndexItem<'a>) -> [u8; CODE_BYTES] {
        let known =
            self.of_indexes.iter().find(|(info, _)| std::ptr::eq(*info, item.info) || *info == item.info);
        match known {
            Some((_, key)) => key.code(item.input),
            None => {
                let key = self.key.of_index(item.info);
                let code = key.code(item.input);
                self.of_indexes.push((item.info, key));
                code
            }
        }
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

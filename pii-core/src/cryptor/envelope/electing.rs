//! The key that seals new values of a slot: elected, rotated, or of this process alone.

use std::{sync::Arc, time::SystemTime};

use super::source::{ActiveKey, KeySource, bad_copies, erased};
use crate::{
    crypto::{DataKey, SealingKey},
    error::{Error, ErrorKind, Result},
    key_admin::bury,
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
    keyring::KeyBinding,
    wire::{KeyId, Layout, copies::CopiesBlock, header},
};

impl KeySource {
    /// The key that seals new values of the slot.
    pub(super) async fn active(&self, slot: &KeySlot) -> Result<ActiveKey> {
        let Some(store) = self.store.as_deref() else { return self.inline(slot).await };
        let (data_key, record) = match slot.purpose.is_elected() {
            true => self.elected(store, slot).await?,
            false => self.own(store, slot).await?,
        };
        let key = SealingKey::new(&data_key);
        let sealed = self.held.hold_active(&record, &key);
        let header = header::fixed_part(Layout::KeyStore, record.key_id);
        Ok(ActiveKey { key, header: header.as_slice().into(), sealed })
    }

    /// A new key, whose copies travel in the values.
    async fn inline(&self, slot: &KeySlot) -> Result<ActiveKey> {
        let binding = binding_of(slot, 0);
        let (purpose, epoch) = (binding.purpose, binding.epoch);
        let (data_key, copies) = self.generate(slot, binding).await?;
        let mut header = header::fixed_part(Layout::InlineCopies, data_key.id()).to_vec();
        let block = CopiesBlock::encode(purpose, epoch, &copies);
        header.extend(block.ok_or_else(|| bad_copies("too many or too long"))?);
        Ok(ActiveKey { key: SealingKey::new(&data_key), header: header.into(), sealed: Arc::default() })
    }

    /// A new key of this process alone, which takes part in no election and is never unwrapped here.
    async fn own(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<(DataKey, KeyRecord)> {
        let before = self.held.active(slot);
        if let Some(before) = &before {
            self.refuse_destroyed(&self.loaded(store, before).await?)?;
        }
        let (data_key, record) = self.propose(slot, 0).await?;
        store.insert(&record).await?;
        let stored = read_back(store, &record).await?;
        self.check_new(store, before.as_ref(), &stored).await?;
        Ok((data_key, stored))
    }

    /// The key on which all processes agree.
    async fn elected(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<(DataKey, KeyRecord)> {
        let Some(record) = self.newest(store, slot).await? else { return self.make(store, slot, None).await };
        self.refuse_destroyed(&record)?;
        if record.state == KeyState::DecryptOnly {
            return self.make(store, slot, Some(&record)).await;
        }
        if !self.is_due(&record) {
            return self.unwrap_active(record, slot).await;
        }
        match self.make(store, slot, Some(&record)).await {
            Err(error) if error.is_retryable() => {
                tracing::warn!(key = %record.key_id, %error, "the data key could not be rotated yet");
                self.unwrap_active(record, slot).await
            }
            made => made,
        }
    }

    /// The elected record of the highest epoch. If the store has lost the one that this process
    /// uses, that one is put back first: values are stored under it.
    async fn newest(&self, store: &dyn KeyStore, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let found = store.active(slot).await;
        let (found, held) = match (found, self.held.active(slot)) {
            (Ok(Some(record)), Some(held)) if record.key_id == held.key_id => return Ok(Some(record)),
            (Ok(found), None) => return Ok(found),
            (Ok(found), Some(held)) => (found, held),
            // the election is there, the record is not
            (Err(error), held) if error.kind() == ErrorKind::KeyMissing => {
                let named = error.key_id().and_then(KeyId::parse).and_then(|key_id| self.held.get(key_id));
                (None, named.filter(|named| named.slot == *slot).or(held).ok_or(error)?)
            }
            (Err(error), _) => return Err(error),
        };
        if store.load(held.key_id).await?.is_some() {
            return match found {
                Some(found) => Ok(Some(found)),
                // put back by somebody else meanwhile
                None => store.active(slot).await,
            };
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
        if record.slot.purpose != slot.purpose {
            return Err(Error::new(ErrorKind::Integrity)
                .key(record.key_id)
                .message("the elected data key is for another purpose"));
        }
        let data_key = self.unwrap_record(&record, slot).await?;
        Ok((data_key, record))
    }

    /// Makes the key after this one, or the first, unless another process is faster.
    async fn make(
        &self,
        store: &dyn KeyStore,
        slot: &KeySlot,
        before: Option<&KeyRecord>,
    ) -> Result<(DataKey, KeyRecord)> {
        let epoch = before.map_or(Ok(0), |before| next(before.epoch))?;
        let (data_key, proposal) = self.propose(slot, epoch).await?;
        let winner = store.elect(&proposal).await?;
        let is_ours = winner.key_id == proposal.key_id;
        let stored = read_back(store, if is_ours { &proposal } else { &winner }).await?;
        if stored.slot != *slot || stored.epoch != epoch {
            return Err(Error::new(ErrorKind::Integrity)
                .key(stored.key_id)
                .message("the elected data key is one of another slot or epoch"));
        }
        self.check_new(store, before, &stored).await?;
        match is_ours {
            true => Ok((data_key, stored)),
            false => self.unwrap_active(stored, slot).await,
        }
    }

    /// Whether a key that was just stored may seal. A shred may have gone by between the look at the
    /// key before it and its own record: erasure is final.
    async fn check_new(
        &self,
        store: &dyn KeyStore,
        before: Option<&KeyRecord>,
        new: &KeyRecord,
    ) -> Result<()> {
        self.refuse_destroyed(new)?;
        if let Some(before) = before {
            let before = self.loaded(store, before).await?;
            if before.state == KeyState::Destroyed {
                bury(store, new.clone()).await?;
            }
            self.refuse_destroyed(&before)?;
        }
        match new.state {
            KeyState::DecryptOnly => Err(Error::new(ErrorKind::KeyUnavailable)
                .key(new.key_id)
                .message("the new data key was retired by another process meanwhile")),
            _ => Ok(()),
        }
    }

    /// What the store has of a record that it had before. One that is lost may be a destroyed one:
    /// only what this process has used is put back.
    async fn loaded(&self, store: &dyn KeyStore, known: &KeyRecord) -> Result<KeyRecord> {
        if let Some(stored) = store.load(known.key_id).await? {
            return Ok(stored);
        }
        match self.held.get(known.key_id) {
            Some(held) => self.put_back(store, &held).await,
            None => Err(Error::new(ErrorKind::KeyUnavailable)
                .key(known.key_id)
                .message("the record of a data key has disappeared from the key store")),
        }
    }

    fn refuse_destroyed(&self, record: &KeyRecord) -> Result<()> {
        if record.state != KeyState::Destroyed {
            return Ok(());
        }
        self.held.bury(record);
        Err(erased(record.key_id)
            .help("its context was erased, and takes no new values: use another context"))
    }

    pub(super) async fn propose(&self, slot: &KeySlot, epoch: u32) -> Result<(DataKey, KeyRecord)> {
        let (data_key, copies) = self.generate(slot, binding_of(slot, epoch)).await?;
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
}

fn binding_of(slot: &KeySlot, epoch: u32) -> KeyBinding {
    KeyBinding { context: Arc::clone(&slot.context), purpose: slot.purpose, epoch }
}

/// Only what can be read back may seal a value. It may have been retired, rewrapped or destroyed
/// since, but it must be there.
pub(super) async fn read_back(store: &dyn KeyStore, expected: &KeyRecord) -> Result<KeyRecord> {
    let stored = store.load(expected.key_id).await?;
    stored.filter(|stored| expected.check_replacement(stored).is_ok()).ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable)
            .key(expected.key_id)
            .message("the key store did not keep the record of a new data key")
    })
}

fn next(epoch: u32) -> Result<u32> {
    epoch
        .checked_add(1)
        .ok_or_else(|| Error::new(ErrorKind::Configuration).message("the data key has no further epoch"))
}

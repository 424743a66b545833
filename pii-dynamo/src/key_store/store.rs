//! What the cryptor calls.

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, KeyId, KeyRecord, KeySlot, KeyStore, ListedKey, Result};

use super::DynamoKeyStore;

impl DynamoKeyStore {
    async fn propose(&self, proposal: &KeyRecord) -> Result<KeyRecord> {
        let (slot, epoch) = (&proposal.slot, proposal.epoch);
        // most of those who start together come too late: reading costs them less than a transaction
        if let Some(winner) = self.elected(slot, epoch).await? {
            return Ok(winner);
        }
        if !self.keep_elected(proposal).await?
            && self.elected(slot, epoch).await?.is_none()
            && let Some(stored) = self.read(proposal.key_id).await?
            && is_of(&stored.record, proposal)
        {
            self.crown(proposal).await?;
        }
        self.elected(slot, epoch).await?.ok_or_else(|| self.not_kept(proposal.key_id))
    }

    async fn put_back(&self, record: &KeyRecord) -> Result<KeyRecord> {
        let is_elected = record.slot.purpose.is_elected();
        let mut stored = self.read(record.key_id).await?;
        if stored.is_none() {
            // where another key is the winner, this one is kept beside it
            if !is_elected || !self.keep_elected(record).await? {
                self.keep(record).await?;
            }
            stored = self.read(record.key_id).await?;
        }
        let stored = stored.ok_or_else(|| self.not_kept(record.key_id))?.record;
        if is_elected && is_of(&stored, record) && !self.has_winner(&record.slot, record.epoch).await? {
            self.crown(record).await?;
        }
        Ok(stored)
    }

    async fn swap(&self, current: &KeyRecord, new: &KeyRecord) -> Result<bool> {
        current.check_replacement(new)?;
        match self.read(current.key_id).await? {
            Some(stored) if stored.record == *current => self.exchange(stored, new).await,
            _ => Ok(false),
        }
    }

    fn not_kept(&self, key_id: KeyId) -> Error {
        Error::new(ErrorKind::KeyUnavailable)
            .key(key_id)
            .message(format!("{} did not keep the record of a data key", self.place()))
    }
}

/// Whether what is stored under a key id is a candidate where `record` is one. It is, unless somebody altered it.
fn is_of(stored: &KeyRecord, record: &KeyRecord) -> bool {
    stored.slot == record.slot && stored.epoch == record.epoch
}

impl KeyStore for DynamoKeyStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { Ok(self.read(key_id).await?.map(|stored| stored.record)) })
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(self.latest(slot))
    }

    fn elected<'a>(&'a self, slot: &'a KeySlot, epoch: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(self.elected(slot, epoch))
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(self.propose(proposal))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(self.put_back(record))
    }

    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.swap(current, new))
    }

    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        Box::pin(self.page(after, limit))
    }
}

//! What the cryptor calls.

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, KeyId, KeyRecord, KeySlot, KeyStore, ListedKey, Result};

use super::{
    SqlKeyStore,
    row::{Stored, election},
    statements,
};
use crate::dialect::Dialect;

impl<DB: Dialect> SqlKeyStore<DB> {
    async fn read(&self, key_id: KeyId) -> Result<Option<Stored>> {
        let rows = self.fetch(statements::by_key_id(&self.table, key_id)?).await?;
        rows.first().map(|row| Stored::read::<DB>(row, key_id)).transpose()
    }

    /// The record in a row that was found by its election; it must be one of this slot.
    fn winner(&self, rows: &[DB::Row], slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let Some(row) = rows.first() else { return Ok(None) };
        let key_id = Stored::key_id::<DB>(row).ok_or_else(|| {
            Error::new(ErrorKind::Malformed)
                .message(format!("{}: the elected row of a slot has no key id", self.place()))
                .help("restore the table from a backup")
        })?;
        let record = Stored::read::<DB>(row, key_id)?.record;
        if record.slot != *slot {
            return Err(Error::new(ErrorKind::ContextMismatch)
                .key(key_id)
                .message("the key store gave a data key of another slot"));
        }
        Ok(Some(record))
    }

    async fn elected(&self, slot: &KeySlot, epoch: u32) -> Result<Option<KeyRecord>> {
        let statement = statements::by_election(&self.table, &election(slot, epoch))?;
        self.winner(&self.fetch(statement).await?, slot)
    }

    async fn latest(&self, slot: &KeySlot) -> Result<Option<KeyRecord>> {
        let statement = statements::latest(&self.table, &slot.digest())?;
        self.winner(&self.fetch(statement).await?, slot)
    }

    /// Keeps the record, unless its key or its election is there.
    async fn keep(&self, record: &KeyRecord, election: Option<String>) -> Result<bool> {
        let statement = statements::insert(&self.table, record, election)?;
        match self.write(statement).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(false),
            Err(error) => Err(self.failed(error)),
            Ok(inserted) => Ok(inserted > 0),
        }
    }

    /// Makes a stored record the winner of its slot and epoch, unless there is one.
    async fn crown(&self, record: &KeyRecord) -> Result<()> {
        let election = election(&record.slot, record.epoch);
        match self.write(statements::crown(&self.table, record.key_id, &election)?).await {
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
            Err(error) => Err(self.failed(error)),
            Ok(_) => Ok(()),
        }
    }

    async fn propose(&self, proposal: &KeyRecord) -> Result<KeyRecord> {
        let (slot, epoch) = (&proposal.slot, proposal.epoch);
        // most of those who start together come too late: they need not wait for their turn to write
        if let Some(winner) = self.elected(slot, epoch).await? {
            return Ok(winner);
        }
        if !self.keep(proposal, Some(election(slot, epoch))).await?
            && self.elected(slot, epoch).await?.is_none()
            && self.read(proposal.key_id).await?.is_some()
        {
            self.crown(proposal).await?;
        }
        self.elected(slot, epoch).await?.ok_or_else(|| self.not_kept(proposal.key_id))
    }

    async fn put(&self, record: &KeyRecord) -> Result<KeyRecord> {
        let mut stored = self.read(record.key_id).await?;
        if stored.is_none() {
            let is_elected = record.slot.purpose.is_elected();
            let election = is_elected.then(|| election(&record.slot, record.epoch));
            if !self.keep(record, election).await? {
                // another key is the winner: this one is kept beside it
                self.keep(record, None).await?;
            }
            stored = self.read(record.key_id).await?;
        }
        let Stored { record, election, .. } = stored.ok_or_else(|| self.not_kept(record.key_id))?;
        if election.is_none()
            && record.slot.purpose.is_elected()
            && self.elected(&record.slot, record.epoch).await?.is_none()
        {
            self.crown(&record).await?;
        }
        Ok(record)
    }

    async fn exchange(&self, current: &KeyRecord, new: &KeyRecord) -> Result<bool> {
        current.check_replacement(new)?;
        match self.read(current.key_id).await? {
            Some(stored) if stored.record == *current => {
                let statement = statements::replace(&self.table, &stored, new)?;
                Ok(self.write(statement).await.map_err(|error| self.failed(error))? > 0)
            }
            _ => Ok(false),
        }
    }

    async fn page(&self, after: Option<KeyId>, limit: usize) -> Result<Vec<ListedKey>> {
        let rows = self.fetch(statements::page(&self.table, after, limit)?).await?;
        let keys = rows.iter().map(|row| {
            let key_id = Stored::key_id::<DB>(row)?;
            Some((key_id, Stored::read::<DB>(row, key_id).map(|stored| stored.record)))
        });
        // one that is left out would look like the end
        keys.collect::<Option<_>>().ok_or_else(|| {
            Error::new(ErrorKind::Malformed)
                .message(format!("{}: a row has no key id", self.place()))
                .help("look for rows whose `key_id` is not 32 hex digits, and delete them")
        })
    }

    fn not_kept(&self, key_id: KeyId) -> Error {
        Error::new(ErrorKind::KeyUnavailable)
            .key(key_id)
            .message(format!("{} did not keep the record of a data key", self.place()))
    }
}

impl<DB: Dialect> KeyStore for SqlKeyStore<DB> {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(async move { Ok(self.read(key_id).await?.map(|stored| stored.record)) })
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        Box::pin(self.latest(slot))
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(self.propose(proposal))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(self.put(record))
    }

    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        Box::pin(self.exchange(current, new))
    }

    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        Box::pin(self.page(after, limit))
    }
}

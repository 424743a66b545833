//! A shred once more, on a key store that was restored from a backup.

use std::{collections::HashSet, fmt, sync::Arc};

use super::{Confirm, KeyAdmin, KeyProblem, Progress, ShredReceipt, report::write_lines};
use crate::{
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    key_store::KeyRecord,
    wire::{KeyId, Purpose},
};

/// What [`KeyAdmin::replay`] did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ReplayReport {
    /// Keys that had come back, and are destroyed again.
    pub destroyed: u64,
    /// Keys that had no record: a tombstone keeps whoever still holds them from putting them back.
    pub buried: u64,
    /// Keys that were destroyed already.
    pub already: u64,
    /// Keys of the same contexts that the receipt does not know: made between the restore and now,
    /// and destroyed too.
    pub newer: u64,
    /// Keys of the receipt that could not be destroyed.
    pub failed: Vec<KeyProblem>,
    /// Keys whose records could not be read.
    pub unreadable: Vec<KeyId>,
}

impl ReplayReport {
    /// Whether the context is as erased as it was before the restore.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.unreadable.is_empty()
    }
}

impl fmt::Display for ReplayReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} had come back and are destroyed again, {} had no record and have a tombstone now, {} were \
             destroyed already, {} newer ones are destroyed too",
            self.destroyed, self.buried, self.already, self.newer
        )?;
        if !self.unreadable.is_empty() {
            write!(f, "; {} records could not be read", self.unreadable.len())?;
        }
        write_lines(f, "failed", &self.failed)
    }
}

enum Outcome {
    Destroyed,
    Buried,
    Already,
}

impl KeyAdmin {
    /// Does what the receipt says was done: after a key store was restored from a backup that is
    /// older than the shred. Keys that came back are destroyed again. Keys that are younger than
    /// the backup get their tombstones. And keys that programs made in the meantime for the same
    /// contexts, which the backup did not know to be erased, are destroyed as well.
    ///
    /// What was restored beside the key store may have the codes of blind indexes again: call `clear_indexes` of
    /// the tables with [`ShredReceipt::context`].
    ///
    /// Replay before programs use the restored store. Replaying twice, or without need, does no
    /// harm.
    ///
    /// # Errors
    /// Errors of the key store; then the call should be repeated. What concerns single keys stands
    /// in the report.
    pub async fn replay(
        &self,
        receipt: &ShredReceipt,
        confirm: Confirm,
        progress: impl FnMut(&Progress) + Send,
    ) -> Result<ReplayReport> {
        let _ = confirm;
        let mut report = ReplayReport::default();
        // the epochs of a slot have no gaps: an older one comes first
        let mut tombstones: Vec<&KeyRecord> = receipt.tombstones().iter().collect();
        tombstones.sort_by_key(|record| record.epoch);
        let mut known = HashSet::new();
        for tombstone in tombstones {
            known.insert(tombstone.key_id);
            match self.bury_again(tombstone).await {
                Ok(Outcome::Destroyed) => report.destroyed += 1,
                Ok(Outcome::Buried) => report.buried += 1,
                Ok(Outcome::Already) => report.already += 1,
                Err(error) if error.is_retryable() => return Err(error),
                Err(error) => report.failed.push(KeyProblem { key_id: tombstone.key_id, error }),
            }
        }
        let contexts: HashSet<Arc<EncryptionContext>> =
            receipt.tombstones().iter().map(|record| Arc::clone(&record.slot.context)).collect();
        if contexts.is_empty() {
            return Ok(report);
        }
        let found = self
            .bury_all(|slot| slot.purpose != Purpose::Branch && contexts.contains(&slot.context), progress)
            .await?;
        report.newer = found.newly;
        report.unreadable = found.unreadable.into_iter().filter(|key_id| !known.contains(key_id)).collect();
        Ok(report)
    }

    async fn bury_again(&self, tombstone: &KeyRecord) -> Result<Outcome> {
        let Some(record) = self.store.load(tombstone.key_id).await? else {
            let stored = self.store.insert(tombstone).await?;
            self.bury(stored).await?;
            return Ok(Outcome::Buried);
        };
        let is_same_key = record.slot == tombstone.slot
            && record.epoch == tombstone.epoch
            && record.created == tombstone.created;
        if !is_same_key {
            return Err(Error::new(ErrorKind::ContextMismatch)
                .key(record.key_id)
                .message("the key store has another record of this key than the receipt"));
        }
        Ok(if self.bury(record).await? { Outcome::Destroyed } else { Outcome::Already })
    }
}

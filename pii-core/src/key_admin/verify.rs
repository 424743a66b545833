//! Whether a key store is sound.

use std::{collections::BTreeSet, collections::HashMap, fmt};

use futures_util::{StreamExt as _, stream};

use super::{CONCURRENT_KEYS, KeyAdmin, KeyProblem, Progress, report::write_lines, rewrap::open};
use crate::{
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, ListedKey},
};

/// What [`KeyAdmin::verify`] found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Active keys that are sound.
    pub active: u64,
    /// Decrypt-only keys that are sound.
    pub decrypt_only: u64,
    /// Tombstones.
    pub destroyed: u64,
    /// Of the sound ones, those that were not unwrapped, because their keyring can only wrap.
    pub not_unwrapped: u64,
    /// Records that are damaged, altered, or wrapped for a keyring that is not there.
    pub problems: Vec<KeyProblem>,
    /// Slots whose elections are not sound.
    pub elections: Vec<ElectionProblem>,
}

/// What is wrong with the elections of one slot.
#[derive(Debug, Clone)]
pub struct ElectionProblem {
    /// The slot's digest, by which a key store names it.
    pub slot: String,
    /// The keyring.
    pub keyring: String,
    /// The purpose.
    pub purpose: &'static str,
    /// The names of the encryption context.
    pub names: String,
    /// What is wrong.
    pub error: Error,
}

impl fmt::Display for ElectionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, keyring, purpose, names, error } = self;
        write!(f, "slot {slot} ({purpose} keys of keyring `{keyring}` for a context of {names}): {error}")
    }
}

impl VerifyReport {
    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.elections.is_empty()
    }

    fn count(&mut self, sound: &Sound) {
        self.not_unwrapped += u64::from(!sound.was_unwrapped);
        match sound.record.state {
            KeyState::Active => self.active += 1,
            KeyState::DecryptOnly => self.decrypt_only += 1,
            KeyState::Destroyed => self.destroyed += 1,
        }
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} active, {} decrypt-only, {} destroyed, {} damaged or not openable, {} slots with unsound elections",
            self.active,
            self.decrypt_only,
            self.destroyed,
            self.problems.len(),
            self.elections.len()
        )?;
        if self.not_unwrapped > 0 {
            write!(f, "; {} could not be unwrapped here and were only read", self.not_unwrapped)?;
        }
        write_lines(f, "damaged or not openable", &self.problems)?;
        write_lines(f, "unsound elections", &self.elections)
    }
}

struct Sound {
    record: KeyRecord,
    was_unwrapped: bool,
}

/// The epochs of a slot that have a record.
type Slots = HashMap<KeySlot, BTreeSet<u32>>;

impl KeyAdmin {
    /// Reads every record, unwraps its data key with its keyring under its context, purpose and
    /// epoch, and compares the key with its id. Then looks at each slot: its epochs have no gap,
    /// and the newest one is elected and readable. Changes nothing.
    ///
    /// # Errors
    /// If the key store can't list its records. What is wrong with single records and slots stands
    /// in the report.
    pub async fn verify(&self, mut progress: impl FnMut(&Progress) + Send) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let mut state = Progress::default();
        let mut slots = Slots::new();
        let mut pages = self.pages(None);
        while let Some(page) = pages.next().await? {
            let ids: Vec<_> = page.iter().map(|(key_id, _)| *key_id).collect();
            let mut tasks = Vec::with_capacity(page.len());
            for listed in page {
                if let (_, Ok(record)) = &listed
                    && record.slot.purpose.is_elected()
                {
                    slots.entry(record.slot.clone()).or_default().insert(record.epoch);
                }
                tasks.push(self.verify_listed(listed));
            }
            let mut results = stream::iter(tasks).buffered(CONCURRENT_KEYS).zip(stream::iter(ids));
            while let Some((result, key_id)) = results.next().await {
                state.count(key_id, result.is_ok(), result.is_err());
                match result {
                    Ok(sound) => report.count(&sound),
                    Err(error) => report.problems.push(KeyProblem { key_id, error }),
                }
                progress(&state);
            }
        }
        for (slot, epochs) in slots {
            if let Err(error) = self.verify_elections(&slot, &epochs).await {
                report.elections.push(ElectionProblem {
                    slot: slot.digest(),
                    keyring: slot.keyring.as_ref().to_owned(),
                    purpose: slot.purpose.name(),
                    names: slot.context.names(),
                    error,
                });
            }
        }
        report.elections.sort_by(|a, b| a.slot.cmp(&b.slot));
        Ok(report)
    }

    async fn verify_listed(&self, (key_id, record): ListedKey) -> Result<Sound> {
        let record = record?;
        let damaged =
            |message: &str| Error::new(ErrorKind::Malformed).key(key_id).message(message.to_owned());
        if record.key_id != key_id {
            return Err(damaged("the record is one of another key"));
        }
        if !record.has_fitting_copies() {
            return Err(damaged("the number of copies does not fit the state of the key"));
        }
        if record.state == KeyState::Destroyed {
            return Ok(Sound { record, was_unwrapped: true });
        }
        let keyring = self.keyring_of(&record.slot.keyring)?;
        let was_unwrapped = keyring.can_unwrap();
        if was_unwrapped {
            open(&**keyring, &record.copies, &record).await?;
        }
        Ok(Sound { record, was_unwrapped })
    }

    async fn verify_elections(&self, slot: &KeySlot, epochs: &BTreeSet<u32>) -> Result<()> {
        let unsound = |message: String| Error::new(ErrorKind::KeyMissing).message(message);
        let restore = "import a backup: `KeyAdmin::import` puts records back and elects them";
        let elected = self.store.active(slot).await?;
        let elected = elected.ok_or_else(|| unsound("no key is elected".to_owned()).help(restore))?;
        if elected.slot != *slot {
            return Err(Error::new(ErrorKind::ContextMismatch)
                .key(elected.key_id)
                .message("the elected key is one of another slot"));
        }
        if let Some(newest) = epochs.last().filter(|newest| **newest > elected.epoch) {
            let message =
                format!("there are keys up to epoch {newest}, but epoch {} is elected", elected.epoch);
            return Err(unsound(message).help(restore));
        }
        let gap = (0..elected.epoch).find(|epoch| !epochs.contains(epoch));
        match gap {
            Some(gap) => Err(unsound(format!("the key of epoch {gap} has no record")).help(restore)),
            None => Ok(()),
        }
    }
}

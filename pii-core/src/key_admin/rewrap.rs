//! New wrapped copies for existing data keys.

use std::fmt;

use futures_util::{StreamExt as _, stream};

use super::{
    CONCURRENT_KEYS, KeyAdmin, KeyProblem, Progress, TRIES, contended, report::write_lines, unknown,
};
use crate::{
    crypto::DataKey,
    cryptor::envelope::DEFAULT_KEYRING,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeyState, ListedKey},
    keyring::{KeyBinding, Keyring},
    wire::{KeyId, WrappedKey, copies::CopiesBlock},
};

/// Which records [`KeyAdmin::rewrap`] works on, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RewrapOptions {
    /// Only records of this keyring; those of all keyrings otherwise.
    pub keyring: Option<String>,
    /// Only records after this key: [`Progress::last`] of a run that was interrupted. A run from
    /// the start does no harm.
    pub after: Option<KeyId>,
    /// Stores new copies even if they are under the same key-encryption keys, by name, as the old
    /// ones. A key service that renews its keys under the same name needs it.
    pub always: bool,
    /// Stores new copies without opening them first: for an administrator who may not unwrap. A
    /// key service that wraps wrongly would then lose data keys for good.
    pub danger_skip_verification: bool,
}

/// What [`KeyAdmin::rewrap`] did.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct RewrapReport {
    /// Records with new copies.
    pub rewrapped: u64,
    /// Records that stay as they are: their copies are under the current key-encryption keys.
    pub unchanged: u64,
    /// Tombstones: destroyed keys have no copies.
    pub destroyed: u64,
    /// Records that keep their old copies because something went wrong.
    pub failed: Vec<KeyProblem>,
}

impl RewrapReport {
    /// Whether every record is under the current key-encryption keys now.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for RewrapReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} rewrapped, {} unchanged, {} destroyed, {} failed",
            self.rewrapped,
            self.unchanged,
            self.destroyed,
            self.failed.len()
        )?;
        write_lines(f, "failed", &self.failed)
    }
}

enum Outcome {
    Rewrapped,
    Unchanged,
    Destroyed,
    OfOtherKeyring,
}

impl KeyAdmin {
    /// Wraps data keys anew under the key-encryption keys that their keyrings wrap with today.
    /// Only key records change: no value is read or written, and every one opens as before. When
    /// the report is complete and the caches have expired, the old key-encryption key is no longer
    /// needed for records; values with inline copies have no record and still need it.
    ///
    /// A record's own claims about its context, purpose and epoch are used here, as there is no
    /// value to say what is expected. The wrap authenticates them: a record that was relabelled does
    /// not unwrap, and fails. New copies are opened, one by one, and compared with the key id
    /// before they replace the old ones. A failure concerns one record; the others go on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no keyring, or none of the name that is asked for.
    /// [`ErrorKind::KeyUnavailable`] if the key store can't list its records.
    pub async fn rewrap(
        &self,
        options: &RewrapOptions,
        mut progress: impl FnMut(&Progress) + Send,
    ) -> Result<RewrapReport> {
        match &options.keyring {
            Some(name) => self.keyring_of(name).map(drop)?,
            None if self.keyrings.is_empty() => self.keyring_of(DEFAULT_KEYRING).map(drop)?,
            None => {}
        }
        let mut report = RewrapReport::default();
        let mut state = Progress::default();
        let mut pages = self.pages(options.after);
        while let Some(page) = pages.next().await? {
            let ids: Vec<KeyId> = page.iter().map(|(key_id, _)| *key_id).collect();
            let mut tasks = Vec::with_capacity(page.len());
            for listed in page {
                tasks.push(self.rewrap_listed(listed, options));
            }
            let mut outcomes = stream::iter(tasks).buffered(CONCURRENT_KEYS).zip(stream::iter(ids));
            while let Some((outcome, key_id)) = outcomes.next().await {
                state.count(key_id, matches!(outcome, Ok(Outcome::Rewrapped)), outcome.is_err());
                match outcome {
                    Ok(Outcome::Rewrapped) => report.rewrapped += 1,
                    Ok(Outcome::Unchanged) => report.unchanged += 1,
                    Ok(Outcome::Destroyed) => report.destroyed += 1,
                    Ok(Outcome::OfOtherKeyring) => {}
                    Err(error) => report.failed.push(KeyProblem { key_id, error }),
                }
                progress(&state);
            }
        }
        Ok(report)
    }

    async fn rewrap_listed(&self, listed: ListedKey, options: &RewrapOptions) -> Result<Outcome> {
        let (key_id, record) = listed;
        let mut record = record?;
        if options.keyring.as_ref().is_some_and(|name| **name != *record.slot.keyring) {
            return Ok(Outcome::OfOtherKeyring);
        }
        for _ in 0..TRIES {
            if record.state == KeyState::Destroyed {
                return Ok(Outcome::Destroyed);
            }
            let copies = self.new_copies(&record, options).await.map_err(|error| error.key(key_id))?;
            if !options.always && names_of(&copies) == names_of(&record.copies) {
                return Ok(Outcome::Unchanged);
            }
            let new = KeyRecord { copies, ..record.clone() };
            if self.store.replace(&record, &new).await? {
                return Ok(Outcome::Rewrapped);
            }
            record = self.store.load(key_id).await?.ok_or_else(|| unknown(key_id))?;
        }
        Err(contended(key_id))
    }

    async fn new_copies(&self, record: &KeyRecord, options: &RewrapOptions) -> Result<Vec<WrappedKey>> {
        let keyring = self.keyring_of(&record.slot.keyring)?;
        let binding = binding_of(record);
        let key_id = record.key_id;
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        let copies = keyring.rewrap(&record.copies, &binding, &is_wanted).await?;
        if CopiesBlock::encode(binding.purpose, binding.epoch, &copies).is_none() {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the keyring gave wrapped copies that cannot be stored"));
        }
        if !options.danger_skip_verification {
            for copy in &copies {
                open(&**keyring, std::slice::from_ref(copy), record).await.map_err(|error| {
                    Error::new(error.kind())
                        .message("a new copy of the data key does not open; the old ones are kept")
                        .source(error)
                })?;
            }
        }
        Ok(copies)
    }
}

/// Unwraps copies of the record's key by the record's claims, and checks the key id.
pub(super) async fn open(
    keyring: &dyn Keyring,
    copies: &[WrappedKey],
    record: &KeyRecord,
) -> Result<DataKey> {
    let binding = binding_of(record);
    let key_id = record.key_id;
    let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
    let data_key = keyring.unwrap(copies, &binding, &is_wanted).await?;
    if is_wanted(&data_key) {
        return Ok(data_key);
    }
    Err(Error::new(ErrorKind::Integrity).key(key_id).message("the copies hold another data key"))
}

fn binding_of(record: &KeyRecord) -> KeyBinding {
    KeyBinding { context: record.slot.context.clone(), purpose: record.slot.purpose, epoch: record.epoch }
}

/// The key-encryption keys of copies, in any order.
fn names_of(copies: &[WrappedKey]) -> Vec<(u8, &str)> {
    let mut names: Vec<_> = copies.iter().map(|copy| (copy.provider.0, copy.key_name.as_str())).collect();
    names.sort_unstable();
    names
}

//! Branch keys in their key store: found, made, rotated, put back; nothing is kept of them here
//! but wrapped records.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use crate::{
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
    keyring::{KeyBinding, KeyEncryptionKey, Keyring, cache::lock},
    wire::{KeyId, Provider, copies::CopiesBlock},
};

/// A branch key in clear; wiped when dropped.
#[derive(Debug)]
pub(super) struct BranchKey {
    pub(super) key: KeyEncryptionKey,
    /// The provider of the copies that it makes: the mark of a test keyring is passed on.
    pub(super) provider: Provider,
}

impl BranchKey {
    fn new(data_key: DataKey, record: &KeyRecord) -> Arc<Self> {
        let is_test = record.copies.iter().any(|copy| copy.provider == Provider::TEST);
        let provider = if is_test { Provider::TEST } else { Provider::HIERARCHICAL };
        Arc::new(Self { key: KeyEncryptionKey::branch(data_key), provider })
    }
}

/// The elected branch key; in clear if this process has just made it.
pub(super) struct Elected {
    pub(super) key_id: KeyId,
    pub(super) key: Option<Arc<BranchKey>>,
}

pub(super) struct Branches {
    pub(super) inner: Arc<dyn Keyring>,
    pub(super) store: Arc<dyn KeyStore>,
    pub(super) slot: KeySlot,
    pub(super) rotate_after: Option<Duration>,
    /// Records whose keys this process has unwrapped, so that one that gets lost can be put back.
    pub(super) known: Mutex<BTreeMap<KeyId, KeyRecord>>,
}

impl Branches {
    fn binding(&self, epoch: u32) -> KeyBinding {
        KeyBinding { context: Arc::clone(&self.slot.context), purpose: self.slot.purpose, epoch }
    }

    /// The key that wraps new data keys. Makes one if there is none, or if it has to be rotated.
    pub(super) async fn elected(&self) -> Result<Elected> {
        let Some(record) = self.newest().await? else { return self.make(0).await };
        self.check(&record)?;
        let old = Elected { key_id: record.key_id, key: None };
        match record.state {
            KeyState::Destroyed => Err(erased(record.key_id).help(
                "what was sealed under it is gone; to go on with a new branch key, call `rotate_branch_key`",
            )),
            KeyState::DecryptOnly => self.make(next(record.epoch)?).await,
            KeyState::Active if !self.is_due(&record) => Ok(old),
            KeyState::Active => match self.make(next(record.epoch)?).await {
                Err(error) if error.is_retryable() => {
                    tracing::warn!(key = %record.key_id, %error, "the branch key could not be rotated yet");
                    Ok(old)
                }
                made => made,
            },
        }
    }

    /// The key of the next epoch.
    pub(super) async fn rotate(&self) -> Result<Elected> {
        match self.newest().await? {
            None => self.make(0).await,
            Some(record) => {
                self.check(&record)?;
                self.make(next(record.epoch)?).await
            }
        }
    }

    /// The key of this id, unwrapped by the inner keyring.
    pub(super) async fn load(&self, key_id: KeyId) -> Result<Arc<BranchKey>> {
        let record = match self.store.load(key_id).await? {
            Some(record) => record,
            None => self.put_back(key_id).await?,
        };
        if record.key_id != key_id {
            return Err(Error::new(ErrorKind::Integrity)
                .key(key_id)
                .message("the key store gave the record of another key"));
        }
        self.check(&record)?;
        if record.state == KeyState::Destroyed {
            lock(&self.known).remove(&key_id);
            return Err(erased(key_id));
        }
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        let binding = self.binding(record.epoch);
        let unwrapped = self.inner.unwrap(&record.copies, &binding, &is_wanted).await;
        let data_key = unwrapped.map_err(|error| error.key(key_id))?;
        // the id commits to the key: an inner keyring that forgot to ask is caught here
        if !is_wanted(&data_key) {
            return Err(Error::new(ErrorKind::Integrity).key(key_id));
        }
        let branch = BranchKey::new(data_key, &record);
        lock(&self.known).insert(key_id, record);
        Ok(branch)
    }

    /// A record is a claim: it must be of the slot that is expected. That the key belongs to it is
    /// what unwrapping shows.
    fn check(&self, record: &KeyRecord) -> Result<()> {
        let wrong = |kind, message: String| Err(Error::new(kind).key(record.key_id).message(message));
        if record.slot.purpose != self.slot.purpose {
            return wrong(ErrorKind::Integrity, "the key is not a branch key".to_owned());
        }
        if record.slot.keyring != self.slot.keyring {
            let message = format!("the branch key belongs to another keyring than `{}`", self.slot.keyring);
            return wrong(ErrorKind::KeyMissing, message);
        }
        if record.slot.context != self.slot.context {
            let names = self.slot.context.names();
            return wrong(
                ErrorKind::ContextMismatch,
                format!(
                    "the branch key was made under another branch context than the expected one ({names})"
                ),
            );
        }
        Ok(())
    }

    /// The elected record, after putting back a newer one that the store has lost.
    async fn newest(&self) -> Result<Option<KeyRecord>> {
        let found = self.store.active(&self.slot).await?;
        let epoch = found.as_ref().map(|record| record.epoch);
        let mut lost: Vec<KeyRecord> =
            lock(&self.known).values().filter(|record| Some(record.epoch) > epoch).cloned().collect();
        if lost.is_empty() {
            return Ok(found);
        }
        lost.sort_by_key(|record| record.epoch);
        for record in &lost {
            warn_of_loss(record.key_id);
            self.store.insert(record).await?;
        }
        self.store.active(&self.slot).await
    }

    /// A record that the store has lost and this process has not.
    async fn put_back(&self, key_id: KeyId) -> Result<KeyRecord> {
        let Some(record) = lock(&self.known).get(&key_id).cloned() else {
            return Err(Error::new(ErrorKind::KeyMissing)
                .key(key_id)
                .message("the key store has no record of the branch key")
                .help(
                    "restore the key store from a backup, or check that this is the store of the branch keys",
                ));
        };
        warn_of_loss(key_id);
        match self.store.insert(&record).await {
            Ok(stored) => Ok(stored),
            Err(error) => {
                // what is sealed stays readable here, even if this process may not write to the store
                tracing::warn!(key = %key_id, %error, "the record of a branch key could not be put back");
                Ok(record)
            }
        }
    }

    fn is_due(&self, record: &KeyRecord) -> bool {
        let Some(rotate_after) = self.rotate_after else { return false };
        // a clock that went back makes no key old; a time that can't be read does
        let Ok(created) = humantime::parse_rfc3339(&record.created) else { return true };
        SystemTime::now().duration_since(created).is_ok_and(|age| age >= rotate_after)
    }

    /// Makes the key of an epoch, unless another process is faster. It is stored and read back
    /// before anything is wrapped under it.
    async fn make(&self, epoch: u32) -> Result<Elected> {
        let generated = self.inner.generate(&self.binding(epoch)).await?;
        if CopiesBlock::encode(self.slot.purpose, epoch, &generated.copies).is_none() {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the inner keyring gave wrapped copies that cannot be stored"));
        }
        let proposal = KeyRecord {
            key_id: generated.data_key.id(),
            slot: self.slot.clone(),
            epoch,
            state: KeyState::Active,
            created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
            copies: generated.copies,
        };
        let winner = self.store.elect(&proposal).await?;
        self.check(&winner)?;
        let key_id = winner.key_id;
        let expected = if key_id == proposal.key_id { &proposal } else { &winner };
        let stored = self.store.load(key_id).await?.filter(|stored| stored == expected);
        let stored = stored.ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable)
                .key(key_id)
                .message("the key store did not keep the record of a new branch key")
        })?;
        if stored.state != KeyState::Active || stored.epoch != epoch {
            return Err(Error::new(ErrorKind::KeyUnavailable)
                .key(key_id)
                .message("the branch keys were rotated by another process meanwhile"));
        }
        if key_id != proposal.key_id {
            return Ok(Elected { key_id, key: None });
        }
        let key = BranchKey::new(generated.data_key, &stored);
        lock(&self.known).insert(key_id, stored);
        Ok(Elected { key_id, key: Some(key) })
    }
}

fn next(epoch: u32) -> Result<u32> {
    epoch
        .checked_add(1)
        .ok_or_else(|| Error::new(ErrorKind::Configuration).message("the branch key has no further epoch"))
}

fn erased(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Erased).key(key_id).message("the branch key was destroyed")
}

fn warn_of_loss(key_id: KeyId) {
    tracing::warn!(key = %key_id, "the key store has lost the record of a branch key; it is put back");
}

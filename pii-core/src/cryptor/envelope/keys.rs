//! From contexts and key ids to data keys: cache, key store and keyrings.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use futures_util::FutureExt as _;

use super::{
    builder::DEFAULT_KEYRING,
    cache::{Cache, CacheLimits},
};
use crate::{
    context::EncryptionContext,
    crypto::{DataKey, SealingKey},
    cryptor::CryptorStats,
    error::{Error, ErrorKind, Result},
    key_store::{KeyRecord, KeySlot, KeyState, KeyStore},
    keyring::{KeyBinding, Keyring},
    wire::{KeyId, Layout, Purpose, WrappedKey, copies::CopiesBlock, header},
};

/// The key that seals new values of a slot, with the header that they get.
#[derive(Clone)]
pub(crate) struct ActiveKey {
    pub(crate) key: Arc<SealingKey>,
    /// version, layout, key id and, without a store, the copies
    pub(crate) header: Arc<[u8]>,
}

/// What a stored value says about its data key, and what its place demands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct KeyRequest {
    pub(crate) key_id: KeyId,
    pub(crate) slot: KeySlot,
    /// the copies block of layout 2
    pub(crate) copies: Option<Arc<[u8]>>,
}

/// Finds, makes and keeps data keys.
pub(crate) struct KeyService {
    source: Arc<KeySource>,
    active: Arc<Cache<KeySlot, ActiveKey>>,
    opening: Arc<Cache<(KeyId, KeySlot), Arc<SealingKey>, KeyRequest>>,
}

impl KeyService {
    pub(crate) fn new(
        keyrings: BTreeMap<Arc<str>, Arc<dyn Keyring>>,
        store: Option<Arc<dyn KeyStore>>,
        limits: CacheLimits,
    ) -> Self {
        let source =
            KeySource { keyrings, store, generated: AtomicU64::new(0), unwrapped: AtomicU64::new(0) };
        Self {
            source: Arc::new(source),
            active: Arc::new(Cache::new(limits.clone())),
            opening: Arc::new(Cache::new(limits)),
        }
    }

    /// Whether data keys are kept in a key store, and not in values.
    pub(crate) fn has_store(&self) -> bool {
        self.source.store.is_some()
    }

    /// The slot whose data key a value under this keyring and context has.
    pub(crate) fn slot(
        &self,
        keyring: Option<&str>,
        context: &Arc<EncryptionContext>,
        purpose: Purpose,
    ) -> Result<KeySlot> {
        let name = keyring.unwrap_or(DEFAULT_KEYRING);
        let Some((keyring, _)) = self.source.keyrings.get_key_value(name) else {
            return Err(Error::new(ErrorKind::Configuration)
                .message(format!("there is no keyring `{name}`"))
                .help(format!("add it to the cryptor: `.named_keyring(\"{name}\", ...)`")));
        };
        Ok(KeySlot { keyring: Arc::clone(keyring), context: Arc::clone(context), purpose })
    }

    /// The key for sealing `messages` values of `bytes` in all.
    pub(crate) async fn active(&self, slot: KeySlot, messages: u64, bytes: u64) -> Result<ActiveKey> {
        let (source, wanted) = (Arc::clone(&self.source), slot.clone());
        let fetch = move || async move { source.active(&wanted).await }.boxed();
        self.active.get(slot.clone(), slot, messages, bytes, fetch).await
    }

    /// The key for opening values.
    pub(crate) async fn opening(
        &self,
        request: KeyRequest,
        messages: u64,
        bytes: u64,
    ) -> Result<Arc<SealingKey>> {
        let source = Arc::clone(&self.source);
        let wanted = request.clone();
        let fetch = move || async move { source.opening(&wanted).await }.boxed();
        let key = (request.key_id, request.slot.clone());
        self.opening.get(key, request, messages, bytes, fetch).await
    }

    pub(crate) fn stats(&self) -> CryptorStats {
        CryptorStats {
            keys_generated: self.source.generated.load(Ordering::Relaxed),
            keys_unwrapped: self.source.unwrapped.load(Ordering::Relaxed),
            cache_hits: self.active.hits() + self.opening.hits(),
            cache_misses: self.active.misses() + self.opening.misses(),
            ..CryptorStats::default()
        }
    }
}

/// Keyrings and key store, without any cache.
struct KeySource {
    keyrings: BTreeMap<Arc<str>, Arc<dyn Keyring>>,
    store: Option<Arc<dyn KeyStore>>,
    generated: AtomicU64,
    unwrapped: AtomicU64,
}

impl KeySource {
    fn keyring(&self, name: &str) -> Result<&Arc<dyn Keyring>> {
        self.keyrings.get(name).ok_or_else(|| {
            Error::new(ErrorKind::Configuration).message(format!("there is no keyring `{name}`"))
        })
    }

    async fn active(&self, slot: &KeySlot) -> Result<ActiveKey> {
        let binding = KeyBinding { context: Arc::clone(&slot.context), purpose: slot.purpose, epoch: 0 };
        let Some(store) = &self.store else {
            let (data_key, copies) = self.generate(slot, &binding).await?;
            let mut header = header::fixed_part(Layout::InlineCopies, data_key.id()).to_vec();
            let block = CopiesBlock::encode(binding.purpose, binding.epoch, &copies);
            header.extend(block.ok_or_else(|| bad_copies("too many or too long"))?);
            return Ok(ActiveKey { key: Arc::new(SealingKey::new(&data_key)), header: header.into() });
        };
        let (data_key, record) = match store.active(slot).await? {
            Some(record) => (None, record),
            None => {
                let (data_key, copies) = self.generate(slot, &binding).await?;
                let proposal = KeyRecord {
                    key_id: data_key.id(),
                    slot: slot.clone(),
                    epoch: binding.epoch,
                    state: KeyState::Active,
                    created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
                    copies,
                };
                let winner = store.elect(&proposal).await?;
                // only what can be read back may seal a value
                let expected = if winner.key_id == proposal.key_id { &proposal } else { &winner };
                let stored = store.load(winner.key_id).await?.filter(|stored| stored == expected);
                let stored = stored.ok_or_else(|| {
                    Error::new(ErrorKind::KeyUnavailable)
                        .key(winner.key_id)
                        .message("the key store did not keep the record of a new data key")
                })?;
                (Some(data_key).filter(|data_key| data_key.id() == stored.key_id), stored)
            }
        };
        if record.slot.purpose != slot.purpose {
            return Err(Error::new(ErrorKind::Integrity)
                .key(record.key_id)
                .message("the elected data key is for another purpose"));
        }
        match record.state {
            KeyState::Active => {}
            KeyState::Destroyed => return Err(erased(record.key_id)),
            KeyState::DecryptOnly => {
                return Err(Error::new(ErrorKind::KeyMissing)
                    .key(record.key_id)
                    .message("the elected data key may only open values"));
            }
        }
        let data_key = match data_key {
            Some(data_key) => data_key,
            None => self.unwrap_record(&record, slot).await?,
        };
        let header = header::fixed_part(Layout::KeyStore, record.key_id);
        Ok(ActiveKey { key: Arc::new(SealingKey::new(&data_key)), header: header.as_slice().into() })
    }

    async fn opening(&self, request: &KeyRequest) -> Result<Arc<SealingKey>> {
        let record = match &self.store {
            Some(store) => store.load(request.key_id).await?,
            None => None,
        };
        if record.as_ref().is_some_and(|record| record.state == KeyState::Destroyed) {
            return Err(erased(request.key_id));
        }
        let data_key = match (&request.copies, record) {
            (Some(block), _) => {
                let CopiesBlock { purpose, epoch, copies } = CopiesBlock::parse(block)?;
                self.unwrap(&copies, purpose, epoch, request.key_id, &request.slot).await?
            }
            (None, Some(record)) => self.unwrap_record(&record, &request.slot).await?,
            (None, None) => return Err(unknown_key(request.key_id, self.store.is_some())),
        };
        Ok(Arc::new(SealingKey::new(&data_key)))
    }

    async fn unwrap_record(&self, record: &KeyRecord, slot: &KeySlot) -> Result<DataKey> {
        if record.slot.keyring != slot.keyring {
            return Err(Error::new(ErrorKind::KeyMissing).key(record.key_id).message(format!(
                "the data key belongs to another keyring than `{}`, that of the field",
                slot.keyring
            )));
        }
        if record.slot.context != slot.context {
            return Err(wrong_context(&slot.context).key(record.key_id));
        }
        self.unwrap(&record.copies, record.slot.purpose, record.epoch, record.key_id, slot).await
    }

    async fn unwrap(
        &self,
        copies: &[WrappedKey],
        purpose: Purpose,
        epoch: u32,
        key_id: KeyId,
        slot: &KeySlot,
    ) -> Result<DataKey> {
        if !purpose.seals_values() {
            return Err(Error::new(ErrorKind::Integrity).key(key_id));
        }
        let binding = KeyBinding { context: Arc::clone(&slot.context), purpose, epoch };
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        self.unwrapped.fetch_add(1, Ordering::Relaxed);
        let keyring = self.keyring(&slot.keyring)?;
        let data_key =
            keyring.unwrap(copies, &binding, &is_wanted).await.map_err(|error| error.key(key_id))?;
        // the key id commits to the key: a keyring that forgot to ask is caught here
        if is_wanted(&data_key) { Ok(data_key) } else { Err(Error::new(ErrorKind::Integrity).key(key_id)) }
    }

    async fn generate(&self, slot: &KeySlot, binding: &KeyBinding) -> Result<(DataKey, Vec<WrappedKey>)> {
        self.generated.fetch_add(1, Ordering::Relaxed);
        let generated = self.keyring(&slot.keyring)?.generate(binding).await?;
        if CopiesBlock::encode(binding.purpose, binding.epoch, &generated.copies).is_none() {
            return Err(bad_copies("none, more than 8, or too long"));
        }
        Ok((generated.data_key, generated.copies))
    }
}

fn bad_copies(what: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .message(format!("the keyring gave wrapped copies that cannot be stored: {what}"))
}

fn erased(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Erased).key(key_id).message("its data key was destroyed")
}

fn wrong_context(expected: &EncryptionContext) -> Error {
    Error::new(ErrorKind::ContextMismatch)
        .message(format!("the value was sealed under other values of its context ({})", expected.names()))
}

fn unknown_key(key_id: KeyId, has_store: bool) -> Error {
    let error = Error::new(ErrorKind::KeyMissing).key(key_id);
    if has_store {
        error.message("the key store has no record of the data key").help(
            "restore the key store from a backup, or check that this is the store the value was written with",
        )
    } else {
        error
            .message("the value's data key is in a key store, and this cryptor has none")
            .help("add the key store: `.key_store(...)`")
    }
}

//! From contexts and key ids to data keys: the cache in front of keyrings and key store.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures_util::FutureExt as _;

pub(crate) use super::source::{ActiveKey, KeyRequest};
use super::{
    builder::DEFAULT_KEYRING,
    cache::{Cache, CacheCounters, Spawn},
    calls::Calls,
    clock::Clock,
    entries::Remaining,
    held::HeldRecords,
    indexing::HeldIndexRecords,
    limits::{CacheLimits, DataKeyRotation},
    source::{KeySource, SourceCounters},
    status::{CryptorStatus, KeptKey},
};
use crate::{
    context::EncryptionContext,
    crypto::{IndexKey, SealingKey},
    cryptor::CryptorStats,
    error::{Error, ErrorKind, Result},
    key_store::{KeySlot, KeyStore},
    keyring::Keyring,
    wire::{KeyId, Purpose},
};

/// What a key service is made of.
pub(crate) struct KeySettings {
    pub(crate) keyrings: BTreeMap<Arc<str>, Arc<dyn Keyring>>,
    pub(crate) store: Option<Arc<dyn KeyStore>>,
    pub(crate) limits: CacheLimits,
    pub(crate) rotation: DataKeyRotation,
    /// calls to keyrings under way at once
    pub(crate) concurrent_calls: usize,
    /// data keys that are unwrapped from the values of one batch
    pub(crate) inline_keys_per_batch: usize,
    /// data keys are of purpose `drop`
    pub(crate) write_only: bool,
    pub(crate) spawn: Option<Spawn>,
    pub(crate) clock: Clock,
}

/// Finds, makes and keeps data keys.
pub(crate) struct KeyService {
    source: Arc<KeySource>,
    capacity: usize,
    concurrent_calls: usize,
    inline_keys_per_batch: usize,
    write_only: bool,
    active: Arc<Cache<KeySlot, ActiveKey>>,
    opening: Arc<Cache<(KeyId, KeySlot), Arc<SealingKey>, KeyRequest>>,
    /// by slot and epoch
    index: Arc<Cache<(KeySlot, u32), Arc<IndexKey>>>,
}

impl KeyService {
    pub(crate) fn new(settings: KeySettings) -> Self {
        let KeySettings { limits, clock, spawn, .. } = settings;
        let source = KeySource {
            keyrings: settings.keyrings,
            store: settings.store,
            rotation: settings.rotation,
            held: HeldRecords::new(limits.capacity.saturating_mul(2)),
            held_index: HeldIndexRecords::new(limits.capacity.saturating_mul(2)),
            calls: Arc::new(Calls::new(settings.concurrent_calls)),
            counters: Arc::<SourceCounters>::default(),
        };
        Self {
            source: Arc::new(source),
            capacity: limits.capacity,
            concurrent_calls: settings.concurrent_calls,
            inline_keys_per_batch: settings.inline_keys_per_batch,
            write_only: settings.write_only,
            active: Arc::new(Cache::new(limits.clone(), clock.clone(), spawn.clone())),
            opening: Arc::new(Cache::new(limits.clone(), clock.clone(), spawn.clone())),
            index: Arc::new(Cache::new(limits, clock, spawn)),
        }
    }

    pub(crate) fn has_store(&self) -> bool {
        self.source.store.is_some()
    }

    /// How many keys are worth asking for at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrent_calls
    }

    /// The slot whose data key a value under this keyring and context has. Who can't unwrap, or may
    /// not, seals under keys of its own.
    pub(crate) fn slot(
        &self,
        keyring: Option<&str>,
        context: &Arc<EncryptionContext>,
        purpose: Purpose,
    ) -> Result<KeySlot> {
        let name = keyring.unwrap_or(DEFAULT_KEYRING);
        let Some((name, keyring)) = self.source.keyrings.get_key_value(name) else {
            return Err(Error::new(ErrorKind::Configuration)
                .message(format!("there is no keyring `{name}`"))
                .help(format!("add it to the cryptor: `.named_keyring(\"{name}\", ...)`")));
        };
        let purpose = if self.write_only || !keyring.can_unwrap() { Purpose::Drop } else { purpose };
        Ok(KeySlot { keyring: Arc::clone(name), context: Arc::clone(context), purpose })
    }

    /// The key for sealing `messages` values of `bytes` in all.
    pub(crate) async fn active(&self, slot: KeySlot, messages: u64, bytes: u64) -> Result<ActiveKey> {
        let (source, wanted) = (Arc::clone(&self.source), slot.clone());
        let fetch = move || async move { source.active(&wanted).await }.boxed();
        let key = self.active.get(slot.clone(), slot.clone(), messages, bytes, fetch).await?;
        let before = key.sealed.fetch_add(messages, Ordering::Relaxed);
        let after = before.saturating_add(messages);
        if self.source.rotation.after_values.is_some_and(|values| before < values && after >= values) {
            // the next batch finds that it is due; if no new one can be had, not every batch tries
            self.active.remove(&slot);
        }
        Ok(key)
    }

    /// The key for opening values.
    pub(crate) async fn opening(
        &self,
        request: KeyRequest,
        messages: u64,
        bytes: u64,
    ) -> Result<Arc<SealingKey>> {
        if !self.source.keyring(&request.slot.keyring)?.can_unwrap() {
            return self.own(&request);
        }
        let source = Arc::clone(&self.source);
        let wanted = request.clone();
        let fetch = move || async move { source.opening(&wanted).await }.boxed();
        let key = (request.key_id, request.slot.clone());
        self.opening.get(key, request, messages, bytes, fetch).await
    }

    /// The keys for opening values, each for so many of so many bytes in all, if nobody has to be asked for any.
    pub(crate) fn opening_at_hand(
        &self,
        requests: impl Iterator<Item = (KeyRequest, u64, u64)>,
    ) -> Option<Vec<Arc<SealingKey>>> {
        let wanted =
            requests.map(|(request, messages, bytes)| ((request.key_id, request.slot), messages, bytes));
        self.opening.at_hand(&wanted.collect::<Vec<_>>())
    }

    /// The key of this process, which opens what was sealed here until it is dropped.
    fn own(&self, request: &KeyRequest) -> Result<Arc<SealingKey>> {
        let own = self.active.peek(&request.slot).filter(|own| own.key.id() == request.key_id);
        own.map(|own| own.key).ok_or_else(|| {
            Error::new(ErrorKind::KeyDenied)
                .key(request.key_id)
                .message(format!(
                    "the keyring `{}` has a public key only: it can't open values",
                    request.slot.keyring
                ))
                .help("open values where the private key is")
        })
    }

    /// The key of a version of the blind indexes under this keyring and context.
    pub(crate) async fn index(
        &self,
        keyring: Option<&str>,
        context: &Arc<EncryptionContext>,
        epoch: u32,
        messages: u64,
        bytes: u64,
    ) -> Result<Arc<IndexKey>> {
        let slot = self.slot(keyring, context, Purpose::Index)?;
        if self.write_only {
            return Err(Error::new(ErrorKind::Configuration)
                .message("a cryptor that only writes can't compute blind indexes: their key is shared, and must be unwrapped")
                .help(
                    "use `.limited_to(Mode::WriteOnly)` on a cryptor that may unwrap keys, or write through a model \
                     without the index and fill it in elsewhere",
                ));
        }
        if slot.purpose != Purpose::Index {
            return Err(Error::new(ErrorKind::Configuration)
                .message(format!(
                    "blind indexes need keys that can be unwrapped, and `{}` only wraps",
                    slot.keyring
                ))
                .help("give the indexed field another keyring, or no blind index"));
        }
        let (source, wanted) = (Arc::clone(&self.source), slot.clone());
        let fetch = move || async move { source.index(&wanted, epoch).await }.boxed();
        let key = (slot, epoch);
        self.index.get(key.clone(), key, messages, bytes, fetch).await
    }

    /// Whether opening needs no key call.
    pub(crate) fn is_kept(&self, request: &KeyRequest) -> bool {
        self.opening.peek(&(request.key_id, request.slot.clone())).is_some()
    }

    pub(crate) fn inline_keys_per_batch(&self) -> usize {
        self.inline_keys_per_batch
    }

    /// Forgets the keys of a context, or all.
    pub(crate) fn evict(&self, context: Option<&EncryptionContext>) {
        let is_evicted = |slot: &KeySlot| context.is_none_or(|context| *slot.context == *context);
        self.active.evict(is_evicted);
        self.opening.evict(|(_, slot)| is_evicted(slot));
        self.index.evict(|(slot, _)| is_evicted(slot));
    }

    pub(crate) fn status(&self) -> CryptorStatus {
        let mut keys = Vec::new();
        self.active.each(|slot, active, remaining| keys.push(kept(active.key.id(), slot, true, &remaining)));
        self.opening.each(|(key_id, slot), _, remaining| keys.push(kept(*key_id, slot, false, &remaining)));
        self.index.each(|(slot, _), key, remaining| keys.push(kept(key.id(), slot, false, &remaining)));
        CryptorStatus { capacity: self.capacity, keys }
    }

    pub(crate) fn stats(&self) -> CryptorStats {
        let all = |of: fn(&CacheCounters) -> &AtomicU64| {
            let caches = [&self.active.counters, &self.opening.counters, &self.index.counters];
            caches.into_iter().map(|counters| of(counters).load(Ordering::Relaxed)).sum()
        };
        let source = &self.source.counters;
        CryptorStats {
            keys_generated: source.generated.load(Ordering::Relaxed),
            keys_unwrapped: source.unwrapped.load(Ordering::Relaxed),
            records_restored: source.restored.load(Ordering::Relaxed),
            cache_hits: all(|counters| &counters.hits),
            cache_misses: all(|counters| &counters.misses),
            cache_refreshes: all(|counters| &counters.refreshes),
            cache_evictions: all(|counters| &counters.evictions),
            grace_uses: all(|counters| &counters.grace_uses),
            negative_hits: all(|counters| &counters.negative_hits),
            ..CryptorStats::default()
        }
    }
}

fn kept(key_id: KeyId, slot: &KeySlot, seals: bool, remaining: &Remaining) -> KeptKey {
    KeptKey {
        key_id,
        keyring: slot.keyring.as_ref().to_owned(),
        context: slot.context.pairs().map(|(name, _)| name.to_owned()).collect(),
        purpose: slot.purpose,
        seals,
        age: remaining.age,
        messages_left: remaining.messages,
        bytes_left: remaining.bytes,
        is_in_grace: remaining.is_in_grace,
    }
}

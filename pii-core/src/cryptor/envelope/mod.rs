//! Envelope encryption: values under data keys, data keys under keyrings.

mod builder;
mod cache;
mod calls;
#[cfg_attr(
    not(feature = "testing"),
    allow(dead_code, unreachable_pub, reason = "tests put the clock forward")
)]
mod clock;
mod electing;
mod entries;
mod groups;
mod heads;
mod held;
mod indexing;
mod inner;
mod keys;
mod layer;
mod limits;
mod open;
mod seal;
mod source;
mod status;

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

pub(crate) use builder::DEFAULT_KEYRING;
pub use builder::EnvelopeBuilder;
#[cfg(feature = "aws-encryption-sdk")]
pub(crate) use cache::Cache;
#[cfg(all(feature = "aws-encryption-sdk", not(feature = "testing")))]
pub(crate) use clock::Clock;
#[cfg(feature = "testing")]
pub use clock::Clock;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
pub(crate) use keys::KeyService;
pub use limits::{CacheLimits, DataKeyRotation};
pub use status::{CryptorStatus, KeptKey};

use super::backend::{CryptorBackend, CryptorStats, IndexItem, OpenItem, SealItem};
use crate::{
    app_keys::LoadedAppKeys,
    context::EncryptionContext,
    crypto::CODE_BYTES,
    error::Result,
    secret::SecretBytes,
    wire::{Ciphertext, FIXED_BYTES},
};

/// The envelope implementation of the joint.
pub(crate) struct EnvelopeCryptor {
    keys: Arc<KeyService>,
    app_keys: Option<LoadedAppKeys>,
    counters: Counters,
    /// the most bytes that stood before a nonce here, in values that carry copies of their key
    longest_head: AtomicUsize,
}

/// How long the copies of a data key may be where none has been seen.
const COPIES_BYTES: usize = 1024;

#[derive(Default)]
struct Counters {
    sealed: AtomicU64,
    opened: AtomicU64,
    refused: AtomicU64,
}

impl EnvelopeCryptor {
    pub(crate) fn new(keys: KeyService, app_keys: Option<LoadedAppKeys>) -> Self {
        let (counters, longest_head) = Default::default();
        Self { keys: Arc::new(keys), app_keys, counters, longest_head }
    }

    fn count_opened(&self, opened: &[Result<SecretBytes>]) {
        let good = opened.iter().filter(|result| result.is_ok()).count();
        count(&self.counters.opened, good);
        count(&self.counters.refused, opened.len() - good);
    }
}

impl CryptorBackend for EnvelopeCryptor {
    fn seal<'a>(&'a self, batch: &'a [SealItem<'a>]) -> BoxFuture<'a, Result<Vec<Ciphertext>>> {
        Box::pin(async move {
            let sealed = seal::seal(&self.keys, self.app_keys.as_ref(), batch).await?;
            count(&self.counters.sealed, sealed.len());
            if !self.keys.has_store() {
                let head = sealed.iter().map(Ciphertext::head_bytes).max().unwrap_or_default();
                self.longest_head.fetch_max(head, Ordering::Relaxed);
            }
            Ok(sealed)
        })
    }

    fn open<'a>(&'a self, batch: &'a [OpenItem<'a>]) -> BoxFuture<'a, Result<Vec<Result<SecretBytes>>>> {
        Box::pin(async move {
            let opened = open::open(&self.keys, self.app_keys.as_ref(), batch).await?;
            self.count_opened(&opened);
            Ok(opened)
        })
    }

    fn open_at_hand(&self, batch: &[OpenItem<'_>]) -> Option<Vec<Result<SecretBytes>>> {
        let opened = open::open_at_hand(&self.keys, self.app_keys.as_ref(), batch)?;
        self.count_opened(&opened);
        Some(opened)
    }

    fn prepare<'a>(
        &'a self,
        contexts: &'a [Arc<EncryptionContext>],
        keyrings: &'a [Option<&'a str>],
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let mut slots = Vec::with_capacity(contexts.len().saturating_mul(keyrings.len()));
            for context in contexts {
                for keyring in keyrings {
                    slots.push(seal::slot_in(&self.keys, *keyring, context)?);
                }
            }
            let asked = slots.into_iter().map(|slot| self.keys.active(slot, 0, 0));
            let asked: Vec<_> = asked.collect();
            stream::iter(asked).buffered(self.keys.concurrency()).try_for_each(|_| async { Ok(()) }).await
        })
    }

    fn index<'a>(&'a self, batch: &'a [IndexItem<'a>]) -> BoxFuture<'a, Result<Vec<[u8; CODE_BYTES]>>> {
        Box::pin(indexing::codes(&self.keys, batch))
    }

    fn head_bytes(&self) -> usize {
        match self.longest_head.load(Ordering::Relaxed) {
            _ if self.keys.has_store() => FIXED_BYTES,
            0 => FIXED_BYTES + COPIES_BYTES,
            longest => longest,
        }
    }

    fn evict(&self, context: Option<&EncryptionContext>) {
        self.keys.evict(context);
    }

    fn status(&self) -> CryptorStatus {
        self.keys.status()
    }

    fn prepare_app_keys(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match &self.app_keys {
                Some(app_keys) => app_keys.current().await.map(drop),
                None => Err(inner::no_source()),
            }
        })
    }

    fn stats(&self) -> CryptorStats {
        CryptorStats {
            sealed: self.counters.sealed.load(Ordering::Relaxed),
            opened: self.counters.opened.load(Ordering::Relaxed),
            refused: self.counters.refused.load(Ordering::Relaxed),
            app_key_loads: self.app_keys.as_ref().map_or(0, LoadedAppKeys::loads),
            ..self.keys.stats()
        }
    }
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}

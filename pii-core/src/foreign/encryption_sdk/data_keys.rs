//! Data keys from the key service, and those that are kept.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::try_join_all};
use sha2::{Digest as _, Sha256};

use super::header::{self, EncryptedDataKey};
use crate::{
    crypto::DataKey,
    cryptor::{
        CacheLimits,
        envelope::{Cache, Clock},
    },
    error::{Error, ErrorKind, Result},
    foreign::key_service::{KeyService, ServiceContext},
    secret::SecretBytes,
    wire::encode::put_lp,
};

/// A KMS key that the caller has named, and who is asked for it.
#[derive(Clone)]
pub(super) struct PinnedKey {
    pub(super) arn: String,
    pub(super) service: Arc<dyn KeyService>,
    pub(super) is_for_writing: bool,
}

/// A data key for new messages of one context.
pub(super) struct NewKey {
    pub(super) data_key: DataKey,
    /// Its wrapped copies as they stand in a header.
    pub(super) wrapped: Vec<u8>,
    /// The messages and bytes that it was used for.
    used: Mutex<(u64, u64)>,
}

impl NewKey {
    /// Charges a message, unless others have used the key up. The first one it takes in any case.
    fn charge(&self, bytes: u64, limits: &CacheLimits) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let after = (used.0.saturating_add(1), used.1.saturating_add(bytes));
        let is_left = used.0 == 0 || (after.0 <= limits.max_messages && after.1 <= limits.max_bytes);
        if is_left {
            *used = after;
        }
        is_left
    }
}

/// What stands for a context, or for a wrapped data key with its context, in a cache.
type Name = [u8; 32];

pub(super) struct DataKeys {
    pinned: Vec<PinnedKey>,
    limits: CacheLimits,
    writing: Arc<Cache<Name, Arc<NewKey>>>,
    reading: Arc<Cache<Name, Arc<DataKey>>>,
}

impl DataKeys {
    pub(super) fn new(pinned: Vec<PinnedKey>, limits: CacheLimits, clock: Clock) -> Self {
        Self {
            pinned,
            writing: Arc::new(Cache::new(limits.clone(), clock.clone(), None)),
            reading: Arc::new(Cache::new(limits.clone(), clock, None)),
            limits,
        }
    }

    /// The data key for a new message with so many bytes of plaintext.
    pub(super) async fn for_writing(&self, context: &ServiceContext, bytes: usize) -> Result<Arc<NewKey>> {
        let name = name(&[], context);
        let make = || {
            let keys: Vec<PinnedKey> = self.pinned.iter().filter(|key| key.is_for_writing).cloned().collect();
            make(keys, context.clone()).boxed()
        };
        loop {
            let key = self.writing.get(name, name, 1, count(bytes), make).await?;
            if key.charge(count(bytes), &self.limits) {
                return Ok(key);
            }
            // more have waited for it than it may serve
            self.writing.remove(&name);
        }
    }

    /// The data key of a message: of those that pinned keys wrapped, the first that opens. Keys are asked
    /// in the order in which they are pinned, so that the near one comes first.
    pub(super) async fn for_reading(
        &self,
        wrapped: &[EncryptedDataKey<'_>],
        context: &ServiceContext,
        bytes: usize,
    ) -> Result<Arc<DataKey>> {
        let mut refusal = None::<Error>;
        let mut asked: Vec<EncryptedDataKey<'_>> = Vec::new();
        let pairs = self.pinned.iter().flat_map(|key| wrapped.iter().map(move |wrapped| (key, *wrapped)));
        for (key, wrapped) in pairs {
            if wrapped.key_arn() != Some(&key.arn) || asked.contains(&wrapped) {
                continue;
            }
            asked.push(wrapped);
            let name = name(&[key.arn.as_bytes(), wrapped.blob], context);
            let fetch = || unwrap(key.clone(), wrapped.blob.to_vec(), context.clone()).boxed();
            match self.reading.get(name, name, 1, count(bytes), fetch).await {
                Ok(data_key) => return Ok(data_key),
                // what may pass is worth knowing more than what will not
                Err(error) if error.is_retryable() || refusal.is_none() => refusal = Some(error),
                Err(_) => {}
            }
        }
        Err(refusal.unwrap_or_else(|| {
            Error::new(ErrorKind::KeyMissing)
                .message("no data key of the message is wrapped under a KMS key that is named here")
                .help("name the key that the writer used by its ARN: `key` or `decrypt_only`")
        }))
    }

    pub(super) fn evict(&self) {
        self.writing.evict(|_| true);
        self.reading.evict(|_| true);
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.pinned.iter().map(|key| &key.arn)).finish()
    }
}

/// The first key makes the data key, the others wrap it.
async fn make(keys: Vec<PinnedKey>, context: ServiceContext) -> Result<Arc<NewKey>> {
    let Some((first, others)) = keys.split_first() else {
        return Err(Error::new(ErrorKind::Configuration)
            .message("all KMS keys that are named are for reading only")
            .help("name the key of new messages: `key(arn)`"));
    };
    let made = first.service.generate_data_key(&first.arn, &context).await;
    let made = made.map_err(|error| error.key(&first.arn))?;
    check_key(&first.arn, &made.key_arn)?;
    let data_key = data_key(&made.plaintext, &first.arn)?;
    let blobs = try_join_all(others.iter().map(|key| encrypt(key, &made.plaintext, &context))).await?;
    let first = (first.arn.as_str(), made.blob.as_slice());
    let wrapped: Vec<_> = std::iter::once(first)
        .chain(others.iter().zip(&blobs).map(|(key, blob)| (key.arn.as_str(), blob.as_slice())))
        .collect();
    let wrapped = header::data_keys(wrapped.into_iter())?;
    Ok(Arc::new(NewKey { data_key, wrapped, used: Mutex::default() }))
}

async fn encrypt(key: &PinnedKey, plaintext: &SecretBytes, context: &ServiceContext) -> Result<Vec<u8>> {
    let encrypted = key.service.encrypt(&key.arn, plaintext, context).await;
    let encrypted = encrypted.map_err(|error| error.key(&key.arn))?;
    check_key(&key.arn, &encrypted.key_arn)?;
    Ok(encrypted.blob)
}

async fn unwrap(key: PinnedKey, blob: Vec<u8>, context: ServiceContext) -> Result<Arc<DataKey>> {
    let opened = key.service.decrypt(Some(&key.arn), &blob, &context).await;
    let opened = opened.map_err(|error| error.key(&key.arn))?;
    data_key(&opened, &key.arn).map(Arc::new)
}

fn data_key(bytes: &SecretBytes, arn: &str) -> Result<DataKey> {
    DataKey::from_slice(bytes.expose())
        .ok_or_else(|| Error::new(ErrorKind::Integrity).key(arn).message("the data key is not 32 bytes long"))
}

fn check_key(asked: &str, answered: &str) -> Result<()> {
    if asked == answered {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Integrity)
        .key(asked)
        .message("the key service used another key than the one asked for"))
}

/// A wrapped data key opens under one KMS key and context only, so all of them are in the name.
fn name(parts: &[&[u8]], context: &ServiceContext) -> Name {
    let mut bytes = Vec::new();
    parts.iter().for_each(|part| put_lp(&mut bytes, part));
    for (name, value) in context {
        put_lp(&mut bytes, name.as_bytes());
        put_lp(&mut bytes, value.as_bytes());
    }
    Sha256::digest(&bytes).into()
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

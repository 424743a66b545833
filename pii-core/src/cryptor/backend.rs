//! The one joint between adapters and cryptography: seal a batch, open a batch.

use std::sync::Arc;

use futures_core::future::BoxFuture;

use super::{envelope::CryptorStatus, place::ValuePlace};
use crate::{
    context::EncryptionContext,
    crypto::CODE_BYTES,
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::{Ciphertext, FIXED_BYTES},
};

/// What seals and opens values: the envelope implementation of this crate, a client of a remote
/// service, or an implementation of your own.
///
/// Modes, scopes, places, policies and audit are checked by [`Cryptor`](crate::Cryptor) before a
/// batch comes here. An implementation must authenticate each value's associated data
/// ([`ValuePlace::write_associated_data`]) and must give one result per item, in order.
pub trait CryptorBackend: Send + Sync + 'static {
    /// Seals every item or none.
    ///
    /// # Errors
    /// Key and configuration errors; nothing of the batch is used then.
    fn seal<'a>(&'a self, batch: &'a [SealItem<'a>]) -> BoxFuture<'a, Result<Vec<Ciphertext>>>;

    /// Opens every item that can be opened. The outer error is for what makes all of them
    /// impossible; whatever concerns one value or one key is the inner error of its items.
    ///
    /// # Errors
    /// As above.
    fn open<'a>(&'a self, batch: &'a [OpenItem<'a>]) -> BoxFuture<'a, Result<Vec<Result<SecretBytes>>>>;

    /// As [`open`](Self::open), if it can be done without waiting for anything: all keys are at hand. Whoever
    /// gets `None` asks `open`. It is called on threads that have no runtime. By default it can't be done.
    fn open_at_hand(&self, batch: &[OpenItem<'_>]) -> Option<Vec<Result<SecretBytes>>> {
        let _ = batch;
        None
    }

    /// Asks for whatever sealing under these contexts and keyrings will need (`None` is the default
    /// keyring), so that sealing does not wait later. Does nothing by default.
    ///
    /// # Errors
    /// Key and configuration errors.
    fn prepare<'a>(
        &'a self,
        contexts: &'a [Arc<EncryptionContext>],
        keyrings: &'a [Option<&'a str>],
    ) -> BoxFuture<'a, Result<()>> {
        let _ = (contexts, keyrings);
        Box::pin(std::future::ready(Ok(())))
    }

    /// Asks for whatever sealing fields of level 3 will need beside that. Does nothing by default.
    ///
    /// # Errors
    /// Key and configuration errors.
    fn prepare_app_keys(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// The codes of blind indexes, 32 bytes for each item, in order. By default there are none.
    ///
    /// # Errors
    /// Key and configuration errors.
    fn index<'a>(&'a self, batch: &'a [IndexItem<'a>]) -> BoxFuture<'a, Result<Vec<[u8; CODE_BYTES]>>> {
        let _ = batch;
        Box::pin(std::future::ready(Err(
            Error::new(ErrorKind::Configuration).message("this cryptor computes no blind indexes")
        )))
    }

    /// Forgets the keys of this context, or all. Does nothing by default.
    fn evict(&self, context: Option<&EncryptionContext>) {
        let _ = context;
    }

    /// How many bytes stand before the nonce of a new value, at most: the copies of its data key travel there
    /// if there is no key store. By default there are none.
    fn head_bytes(&self) -> usize {
        FIXED_BYTES
    }

    /// What is held at the moment, for people. Nothing by default.
    fn status(&self) -> CryptorStatus {
        CryptorStatus::default()
    }

    /// Counters since the start, for people and tests.
    fn stats(&self) -> CryptorStats {
        CryptorStats::default()
    }
}

/// What a cryptor did since it was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CryptorStats {
    /// Values sealed.
    pub sealed: u64,
    /// Values opened.
    pub opened: u64,
    /// Values that did not open.
    pub refused: u64,
    /// Stored plaintexts that the policy of their field accepted.
    pub plaintexts_accepted: u64,
    /// Values opened that another system wrote; they are not in `opened`.
    pub legacy_opened: u64,
    /// Values written in the form of another system; they are not in `sealed`.
    pub legacy_sealed: u64,
    /// Data keys asked of a keyring to be made.
    pub keys_generated: u64,
    /// Data keys asked of a keyring to be unwrapped.
    pub keys_unwrapped: u64,
    /// Loads asked of the source of application keys.
    pub app_key_loads: u64,
    /// Look-ups that the data-key cache answered.
    pub cache_hits: u64,
    /// Look-ups that it did not answer.
    pub cache_misses: u64,
    /// Data keys fetched anew ahead of the end of their age.
    pub cache_refreshes: u64,
    /// Data keys pushed out of the cache for want of room.
    pub cache_evictions: u64,
    /// Uses of a data key beyond its age, because the key service was throttled or unavailable.
    pub grace_uses: u64,
    /// Look-ups answered by a refusal that was remembered.
    pub negative_hits: u64,
    /// Records that the key store had lost and this process put back.
    pub records_restored: u64,
}

impl CryptorStats {
    /// Calls to keyrings, both ways.
    #[must_use]
    pub fn key_calls(&self) -> u64 {
        self.keys_generated + self.keys_unwrapped
    }
}

/// A value to seal.
#[derive(Clone, Copy)]
pub struct SealItem<'a> {
    /// Where it belongs.
    pub place: ValuePlace<'a>,
    /// What to seal.
    pub plaintext: &'a [u8],
}

/// A value to open.
#[derive(Clone, Copy)]
pub struct OpenItem<'a> {
    /// Where it is expected to belong.
    pub place: ValuePlace<'a>,
    /// Its text.
    pub text: &'a Ciphertext,
}

/// A value to compute the code of a blind index of: HMAC-SHA-256, see FORMAT.md.
#[derive(Clone, Copy)]
pub struct IndexItem<'a> {
    /// The encryption context whose index key it is.
    pub context: &'a Arc<EncryptionContext>,
    /// The keyring that wraps that key; `None` is the default one.
    pub keyring: Option<&'static str>,
    /// The epoch of that key.
    pub epoch: u32,
    /// What the index is: model, fields and normalisers. The key is expanded for it.
    pub info: &'a [u8],
    /// The normalised value.
    pub input: &'a [u8],
}

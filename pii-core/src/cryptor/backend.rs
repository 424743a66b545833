//! The one joint between adapters and cryptography: seal a batch, open a batch.

use futures_core::future::BoxFuture;

use super::place::{RowPlaces, ValuePlace};
use crate::{
    error::Result,
    model::{Slot, Walk},
    secret::SecretBytes,
    wire::Ciphertext,
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
    fn seal<'a>(&'a self, batch: &'a SealBatch<'a>) -> BoxFuture<'a, Result<Vec<Ciphertext>>>;

    /// Opens every item that can be opened. The outer error is for what makes all of them
    /// impossible; whatever concerns one value or one key is the inner error of its items.
    ///
    /// # Errors
    /// As above.
    fn open<'a>(&'a self, batch: &'a OpenBatch<'a>) -> BoxFuture<'a, Result<Vec<Result<SecretBytes>>>>;

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
    /// Data keys asked of a keyring to be made.
    pub keys_generated: u64,
    /// Data keys asked of a keyring to be unwrapped.
    pub keys_unwrapped: u64,
    /// Look-ups that the data-key cache answered.
    pub cache_hits: u64,
    /// Look-ups that it did not answer.
    pub cache_misses: u64,
}

impl CryptorStats {
    /// Calls to keyrings, both ways.
    #[must_use]
    pub fn key_calls(&self) -> u64 {
        self.keys_generated + self.keys_unwrapped
    }
}

/// Values to seal.
pub struct SealBatch<'a> {
    pub(crate) places: &'a RowPlaces,
    pub(crate) walk: &'a Walk<'a>,
    pub(crate) items: &'a [(usize, usize, &'a [u8])],
}

/// A value to seal.
#[derive(Clone, Copy)]
pub struct SealItem<'a> {
    /// Where it belongs.
    pub place: ValuePlace<'a>,
    /// What to seal.
    pub plaintext: &'a [u8],
}

impl<'a> SealBatch<'a> {
    /// The values, in order.
    pub fn items(&'a self) -> impl Iterator<Item = SealItem<'a>> + Send {
        self.items.iter().filter_map(|&(row, slot, plaintext)| {
            Some(SealItem { place: place_of(self.places, self.walk, row, slot)?, plaintext })
        })
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

/// Values to open.
pub struct OpenBatch<'a> {
    pub(crate) places: &'a RowPlaces,
    pub(crate) walk: &'a Walk<'a>,
    pub(crate) items: &'a [(usize, usize, &'a Ciphertext)],
}

/// A value to open.
#[derive(Clone, Copy)]
pub struct OpenItem<'a> {
    /// Where it is expected to belong.
    pub place: ValuePlace<'a>,
    /// Its text.
    pub text: &'a Ciphertext,
}

impl<'a> OpenBatch<'a> {
    /// The values, in order.
    pub fn items(&'a self) -> impl Iterator<Item = OpenItem<'a>> + Send {
        self.items.iter().filter_map(|&(row, slot, text)| {
            Some(OpenItem { place: place_of(self.places, self.walk, row, slot)?, text })
        })
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

pub(crate) fn place_of<'a>(
    places: &'a RowPlaces,
    walk: &'a Walk<'a>,
    row: usize,
    slot: usize,
) -> Option<ValuePlace<'a>> {
    let slot: &Slot<'_> = walk.slots().get(slot)?;
    places.place(row, slot.field, slot.ops.code, walk.path(slot))
}

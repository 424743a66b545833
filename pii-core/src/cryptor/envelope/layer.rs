//! One envelope: a key of a batch with what sealing and opening many values with it share.

use std::{ops::Range, sync::Arc};

use zeroize::Zeroize as _;

use super::{heads::Heads, seal::Nonces};
use crate::{
    crypto::{
        Lease, SealingKey,
        xaes::{DerivedKey, HALF_NONCE, halves},
    },
    cryptor::ValuePlace,
    error::{Error, ErrorKind, Result},
    wire::{Envelope, NONCE_BYTES, TAG_BYTES},
};

/// Buffers of one batch; plaintext passes through them.
pub(super) struct Scratch {
    pub(super) associated_data: Vec<u8>,
    pub(super) bytes: Vec<u8>,
}

/// Most associated data is shorter.
const ASSOCIATED_DATA: usize = 256;

impl Scratch {
    pub(super) fn new() -> Self {
        Self { associated_data: Vec::with_capacity(ASSOCIATED_DATA), bytes: Vec::new() }
    }

    /// Empties the bytes and makes room for as many.
    #[inline]
    pub(super) fn clear(&mut self, needed: usize) {
        if self.bytes.capacity() < needed {
            self.grow(needed);
        }
        self.bytes.clear();
    }

    /// Makes room for as many bytes without emptying what is there.
    #[inline]
    pub(super) fn fill(&mut self, needed: usize) {
        if self.bytes.len() < needed {
            self.grow(needed);
            self.bytes.resize(self.bytes.capacity(), 0);
        }
    }

    /// The old block is wiped before a longer one takes its place.
    #[cold]
    fn grow(&mut self, needed: usize) {
        self.bytes.zeroize();
        self.bytes.reserve_exact(needed.next_power_of_two());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Seals the values of one batch under one key.
pub(super) struct SealingLayer<'a> {
    key: Arc<SealingKey>,
    heads: Heads<'a>,
    lease: Option<Lease>,
    values_left: u32,
    messages_left: u64,
    /// header and first half of the nonce, which all values under a lease share
    front: Vec<u8>,
    /// how much of it is the header
    header: usize,
}

impl<'a> SealingLayer<'a> {
    /// Values get this header.
    pub(super) fn new(envelope: Envelope, key: Arc<SealingKey>, header: &[u8], messages: u64) -> Self {
        let mut front = Vec::with_capacity(header.len() + HALF_NONCE);
        front.extend_from_slice(header);
        let heads = Heads::of(envelope);
        Self { key, heads, lease: None, values_left: 0, messages_left: messages, front, header: header.len() }
    }

    /// How many bytes longer than the plaintext a value is.
    #[inline]
    pub(super) fn overhead(&self) -> usize {
        self.header + NONCE_BYTES + TAG_BYTES
    }

    #[cold]
    fn renew_lease(&mut self) -> Result<()> {
        let (lease, values) = self.key.lease(u32::try_from(self.messages_left).unwrap_or(u32::MAX))?;
        self.front.truncate(self.header);
        self.front.extend_from_slice(&lease.first_half);
        (self.lease, self.values_left) = (Some(lease), values);
        Ok(())
    }

    /// Appends header, nonce, the ciphertext of what `write` appends, and the tag.
    #[inline]
    pub(super) fn seal(
        &mut self,
        place: &ValuePlace<'a>,
        nonces: &mut Nonces,
        scratch: &mut Scratch,
        write: impl FnOnce(&mut Scratch, &mut Nonces) -> Result<()>,
    ) -> Result<()> {
        if self.values_left == 0 {
            self.renew_lease()?;
        }
        let Some(lease) = &self.lease else { return Err(Error::new(ErrorKind::KeyUnavailable)) };
        self.values_left -= 1;
        self.messages_left = self.messages_left.saturating_sub(1);
        scratch.bytes.extend_from_slice(&self.front);
        nonces.append_next(&mut scratch.bytes)?;
        let start = scratch.bytes.len();
        write(scratch, nonces)?;
        self.heads.write(place, self.key.id(), &mut scratch.associated_data);
        let (front, body) = scratch.bytes.split_at_mut_checked(start).unwrap_or_default();
        let Some(second_half) = front.last_chunk() else { return Err(Error::new(ErrorKind::KeyUnavailable)) };
        let tag = lease
            .key
            .seal(second_half, &scratch.associated_data, body)
            .map_err(|_| place.locate(Error::new(ErrorKind::TooLarge)))?;
        scratch.bytes.extend_from_slice(&tag);
        Ok(())
    }
}

/// Opens the values of one batch under one key.
pub(super) struct OpeningLayer<'a> {
    key: Arc<SealingKey>,
    heads: Heads<'a>,
    last: Option<([u8; HALF_NONCE], Arc<DerivedKey>)>,
}

impl<'a> OpeningLayer<'a> {
    pub(super) fn new(envelope: Envelope, key: Arc<SealingKey>) -> Self {
        Self { key, heads: Heads::of(envelope), last: None }
    }

    pub(super) fn key(&self) -> &SealingKey {
        &self.key
    }

    /// Decrypts in place and says for which of these alternatives of the place the value was sealed.
    /// If for none, the bytes are as they were.
    #[inline]
    pub(super) fn open(
        &mut self,
        place: &ValuePlace<'a>,
        alternatives: Range<usize>,
        nonce: &[u8; NONCE_BYTES],
        body: &mut [u8],
        tag: &[u8; TAG_BYTES],
        associated_data: &mut Vec<u8>,
    ) -> Option<usize> {
        let (first, second) = halves(nonce);
        let candidate = match &self.last {
            Some((half, _)) if half == first => None,
            _ => Some(self.key.for_opening(first)),
        };
        let derived = candidate.as_ref().or(self.last.as_ref().map(|(_, key)| key))?;
        let (key_id, heads) = (self.key.id(), &mut self.heads);
        let mut opens = |alternative: &usize| {
            match *alternative {
                0 => heads.write(place, key_id, associated_data),
                other => place.write_alternative_of(heads.envelope(), other, key_id, associated_data),
            }
            derived.open(second, associated_data, body, tag).is_ok()
        };
        let opened = alternatives.into_iter().find(&mut opens)?;
        if let Some(derived) = candidate {
            self.key.keep(first, &derived);
            self.last = Some((*first, derived));
        }
        Some(opened)
    }
}

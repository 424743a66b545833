//! Sealing a batch: one data key per slot, one derived key per lease, one allocation per value.

use std::{collections::HashMap, sync::Arc};

use zeroize::Zeroize as _;

use super::{
    heads::Heads,
    keys::{ActiveKey, KeyService},
};
use crate::{
    context::{EncryptionContext, SUBJECT},
    crypto::{Lease, fill_random},
    cryptor::{SealItem, ValuePlace},
    error::{Error, ErrorKind, Result},
    key_store::KeySlot,
    model::Level,
    wire::{Ciphertext, Purpose, TAG_BYTES, encode_text},
};

const HALF_NONCE: usize = 12;
/// The second halves of the nonces of this many values are drawn in one call.
const NONCES_PER_CALL: usize = 4096;

/// Values of one slot.
struct Group {
    slot: KeySlot,
    messages: u64,
    bytes: u64,
}

pub(super) async fn seal(keys: &KeyService, batch: &[SealItem<'_>]) -> Result<Vec<Ciphertext>> {
    let mut groups = Groups::default();
    let mut group_of = Vec::with_capacity(batch.len());
    for item in batch {
        check_level(&item.place)?;
        group_of.push(groups.add(keys, item)?);
    }
    let mut sealers = Vec::with_capacity(groups.groups.len());
    for group in groups.groups {
        let key = keys.active(group.slot, group.messages, group.bytes).await?;
        sealers.push(Sealer { key, lease: None, messages_left: group.messages, heads: Heads::default() });
    }
    // from here on nothing waits
    let mut scratch = Scratch::default();
    let mut sealed = Vec::with_capacity(batch.len());
    let mut nonces = Nonces::new(batch.len());
    for (item, group) in batch.iter().zip(group_of) {
        let sealer = sealers.get_mut(group).ok_or_else(|| Error::new(ErrorKind::Configuration))?;
        sealed.push(sealer.seal(&item.place, item.plaintext, nonces.next()?, &mut scratch)?);
    }
    Ok(sealed)
}

#[derive(Default)]
struct Groups<'a> {
    groups: Vec<Group>,
    known: HashMap<GroupName<'a>, usize>,
    last: Option<(GroupName<'a>, usize)>,
}

/// What tells groups apart: the context and the keyring.
type GroupName<'a> = (&'a [u8], Option<&'static str>);

impl<'a> Groups<'a> {
    /// The index of the value's group; neighbours mostly share one.
    fn add(&mut self, keys: &KeyService, item: &SealItem<'a>) -> Result<usize> {
        let name = (item.place.context().canonical_bytes(), item.place.field().keyring());
        let known = match self.last {
            Some((last, index)) if last.1 == name.1 && (std::ptr::eq(last.0, name.0) || last.0 == name.0) => {
                Some(index)
            }
            _ => self.known.get(&name).copied(),
        };
        let index = match known {
            Some(index) => index,
            None => {
                self.groups.push(Group { slot: slot_of(keys, &item.place)?, messages: 0, bytes: 0 });
                self.known.insert(name, self.groups.len() - 1);
                self.groups.len() - 1
            }
        };
        self.last = Some((name, index));
        if let Some(group) = self.groups.get_mut(index) {
            group.messages += 1;
            group.bytes += u64::try_from(item.plaintext.len()).unwrap_or(u64::MAX);
        }
        Ok(index)
    }
}

/// The slot whose data key a value at this place has.
pub(super) fn slot_of(keys: &KeyService, place: &ValuePlace<'_>) -> Result<KeySlot> {
    slot_in(keys, place.field().keyring(), place.context()).map_err(|error| place.locate(error))
}

/// The slot for values of this keyring and context. A person's values have data keys of their own,
/// which must be erasable: the copies that travel in values without a key store are not.
pub(super) fn slot_in(
    keys: &KeyService,
    keyring: Option<&str>,
    context: &Arc<EncryptionContext>,
) -> Result<KeySlot> {
    if context.get(SUBJECT).is_none() {
        return keys.slot(keyring, context, Purpose::Seal);
    }
    if !keys.has_store() {
        return Err(Error::new(ErrorKind::Configuration)
            .message("values of a model with `subject` need a key store: without one, a person's data keys could not be erased")
            .help("add the key store: `.key_store(...)`"));
    }
    keys.slot(keyring, context, Purpose::Subject)
}

pub(super) fn check_level(place: &ValuePlace<'_>) -> Result<()> {
    match place.field().level() {
        Level::Two => Ok(()),
        Level::One | Level::Three => Err(place.locate(
            Error::new(ErrorKind::Configuration)
                .message("this release seals and opens values of level 2 only"),
        )),
    }
}

/// Buffers of one batch; plaintext passes through them.
#[derive(Default)]
struct Scratch {
    associated_data: Vec<u8>,
    bytes: Vec<u8>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

/// Second halves of nonces, all from the operating system's generator.
struct Nonces {
    bytes: Vec<u8>,
    next: usize,
    left: usize,
}

impl Nonces {
    fn new(count: usize) -> Self {
        Self { bytes: Vec::new(), next: 0, left: count }
    }

    #[inline]
    fn next(&mut self) -> Result<&[u8; HALF_NONCE]> {
        if self.next >= self.bytes.len() {
            let count = self.left.clamp(1, NONCES_PER_CALL);
            self.bytes.resize(count * HALF_NONCE, 0);
            fill_random(&mut self.bytes)?;
            self.next = 0;
            self.left = self.left.saturating_sub(count);
        }
        let nonce = self.bytes.get(self.next..).and_then(|rest| rest.first_chunk());
        self.next += HALF_NONCE;
        nonce.ok_or_else(|| Error::new(ErrorKind::KeyUnavailable).message("no random bytes"))
    }
}

struct Sealer<'a> {
    key: ActiveKey,
    heads: Heads<'a>,
    lease: Option<(Lease, u32)>,
    messages_left: u64,
}

impl<'a> Sealer<'a> {
    fn seal(
        &mut self,
        place: &ValuePlace<'a>,
        plaintext: &[u8],
        second_half: &[u8; HALF_NONCE],
        scratch: &mut Scratch,
    ) -> Result<Ciphertext> {
        if self.lease.as_ref().is_none_or(|(_, left)| *left == 0) {
            self.lease = Some(self.key.key.lease(u32::try_from(self.messages_left).unwrap_or(u32::MAX))?);
        }
        let Some((lease, left)) = &mut self.lease else { return Err(Error::new(ErrorKind::KeyUnavailable)) };
        *left -= 1;
        self.messages_left = self.messages_left.saturating_sub(1);
        self.heads.write(place, self.key.key.id(), &mut scratch.associated_data);
        let bytes = &mut scratch.bytes;
        let front = self.key.header.len() + 2 * HALF_NONCE;
        let needed = front + plaintext.len() + TAG_BYTES;
        if bytes.capacity() < needed {
            // the old block is wiped before a longer one takes its place
            bytes.zeroize();
            bytes.reserve_exact(needed.next_power_of_two());
        }
        bytes.clear();
        bytes.extend_from_slice(&self.key.header);
        bytes.extend_from_slice(&lease.first_half);
        bytes.extend_from_slice(second_half);
        bytes.extend_from_slice(plaintext);
        let body = bytes.get_mut(front..).unwrap_or_default();
        let tag = lease
            .key
            .seal(second_half, &scratch.associated_data, body)
            .map_err(|_| place.locate(Error::new(ErrorKind::TooLarge)))?;
        bytes.extend_from_slice(&tag);
        Ok(encode_text(bytes))
    }
}

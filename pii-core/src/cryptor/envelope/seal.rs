//! Sealing a batch: one data key per slot, one derived key per lease, one allocation per value.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{
    super::names::Names,
    groups::GroupOf,
    inner::{self, InnerSealer},
    keys::{ActiveKey, KeyService},
    layer::{Scratch, SealingLayer},
};
use crate::{
    app_keys::LoadedAppKeys,
    context::{EncryptionContext, SUBJECT},
    crypto::{fill_random, xaes::HALF_NONCE},
    cryptor::{SealItem, ValuePlace},
    error::{Error, ErrorKind, Result},
    key_store::KeySlot,
    model::Level,
    wire::{Ciphertext, Envelope, Purpose, TextEncoder},
};

/// The second halves of the nonces of this many values are drawn in one call.
const NONCES_PER_CALL: usize = 4096;

/// Values of one slot.
struct Group {
    slot: KeySlot,
    messages: u64,
    bytes: u64,
}

pub(super) async fn seal(
    keys: &KeyService,
    app_keys: Option<&LoadedAppKeys>,
    batch: &[SealItem<'_>],
) -> Result<Vec<Ciphertext>> {
    let Grouped { mut groups, group_of, with_inner } = Grouped::of(keys, app_keys, batch)?;
    let mut inner = match app_keys.filter(|_| with_inner > 0) {
        Some(app_keys) => {
            Some(InnerSealer::new(&app_keys.current().await?, u64::try_from(with_inner).unwrap_or(u64::MAX)))
        }
        None => None,
    };
    let mut sealers: Vec<Sealer<'_>> = match groups.pop() {
        Some(only) if groups.is_empty() => vec![Sealer::of(keys, only).await?],
        last => {
            groups.extend(last);
            let asked: Vec<_> = groups.into_iter().map(|group| Sealer::of(keys, group)).collect();
            stream::iter(asked).buffered(keys.concurrency()).try_collect().await?
        }
    };
    // from here on nothing waits
    let nonces = Nonces::new(batch.len() + with_inner);
    seal_all(batch, &group_of, &mut sealers, inner.as_mut(), nonces)
}

/// The values of a batch by their data keys.
struct Grouped {
    groups: Vec<Group>,
    group_of: GroupOf,
    /// how many values have an inner envelope
    with_inner: usize,
}

impl Grouped {
    fn of(keys: &KeyService, app_keys: Option<&LoadedAppKeys>, batch: &[SealItem<'_>]) -> Result<Self> {
        let mut groups = Groups::default();
        let mut group_of = GroupOf::new(batch.len());
        let mut with_inner = 0;
        for item in batch {
            with_inner += usize::from(inner::is_needed(&item.place, app_keys)?);
            group_of.push(groups.add(keys, item)?);
        }
        Ok(Self { groups: groups.groups, group_of, with_inner })
    }
}

/// No part of the future that waits for keys: its variables would be memory.
fn seal_all<'a>(
    batch: &[SealItem<'a>],
    group_of: &GroupOf,
    sealers: &mut [Sealer<'a>],
    mut inner: Option<&mut InnerSealer<'a>>,
    mut nonces: Nonces,
) -> Result<Vec<Ciphertext>> {
    let (mut scratch, mut encoder) = (Scratch::new(), TextEncoder::default());
    let mut sealed = Vec::with_capacity(batch.len());
    for (index, item) in batch.iter().enumerate() {
        let sealer = group_of.get(index).and_then(|group| sealers.get_mut(group));
        let sealer = sealer.ok_or_else(|| Error::new(ErrorKind::Configuration))?;
        sealed.push(sealer.seal(item, inner.as_deref_mut(), &mut nonces, &mut scratch, &mut encoder)?);
    }
    Ok(sealed)
}

#[derive(Default)]
struct Groups<'a> {
    groups: Vec<Group>,
    known: Names<GroupName<'a>>,
    last: Option<(GroupName<'a>, usize)>,
}

/// What tells groups apart: the context and the keyring.
type GroupName<'a> = (&'a [u8], Option<&'static str>);

impl<'a> Groups<'a> {
    /// The index of the value's group; neighbours mostly share one.
    #[inline]
    fn add(&mut self, keys: &KeyService, item: &SealItem<'a>) -> Result<usize> {
        let name = (item.place.context().canonical_bytes(), item.place.field().keyring());
        let index = match self.last {
            Some((last, index)) if std::ptr::eq(last.0, name.0) && last.1 == name.1 => index,
            _ => self.find(keys, item, name)?,
        };
        if let Some(group) = self.groups.get_mut(index) {
            group.messages += 1;
            group.bytes += u64::try_from(item.plaintext.len()).unwrap_or(u64::MAX);
        }
        Ok(index)
    }

    fn find(&mut self, keys: &KeyService, item: &SealItem<'a>, name: GroupName<'a>) -> Result<usize> {
        let index = match self.known.find(&name) {
            Some(known) => known,
            None => {
                self.groups.push(Group { slot: slot_of(keys, &item.place)?, messages: 0, bytes: 0 });
                self.known.add(name)
            }
        };
        self.last = Some((name, index));
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

/// Second halves of nonces, all from the operating system's generator.
pub(super) struct Nonces {
    bytes: Vec<u8>,
    next: usize,
    left: usize,
}

impl Nonces {
    fn new(count: usize) -> Self {
        Self { bytes: Vec::new(), next: 0, left: count }
    }

    /// Appends the next one to `out`. It is never a value of its own: its bytes would be taken apart and put together.
    #[inline]
    pub(super) fn append_next(&mut self, out: &mut Vec<u8>) -> Result<()> {
        if self.next >= self.bytes.len() {
            self.draw()?;
        }
        let nonce: Option<&[u8; HALF_NONCE]> =
            self.bytes.get(self.next..).and_then(|rest| rest.first_chunk());
        let nonce = nonce.ok_or_else(|| Error::new(ErrorKind::KeyUnavailable).message("no random bytes"))?;
        out.extend_from_slice(nonce);
        self.next += HALF_NONCE;
        Ok(())
    }

    #[cold]
    fn draw(&mut self) -> Result<()> {
        let count = self.left.clamp(1, NONCES_PER_CALL);
        self.bytes.resize(count * HALF_NONCE, 0);
        fill_random(&mut self.bytes)?;
        self.next = 0;
        self.left = self.left.saturating_sub(count);
        Ok(())
    }
}

struct Sealer<'a>(SealingLayer<'a>);

impl<'a> Sealer<'a> {
    /// With the key of the group.
    async fn of(keys: &KeyService, group: Group) -> Result<Self> {
        let ActiveKey { key, header, .. } = keys.active(group.slot, group.messages, group.bytes).await?;
        Ok(Self(SealingLayer::new(Envelope::Outer, key, &header, group.messages)))
    }

    fn seal(
        &mut self,
        item: &SealItem<'a>,
        inner: Option<&mut InnerSealer<'a>>,
        nonces: &mut Nonces,
        scratch: &mut Scratch,
        encoder: &mut TextEncoder,
    ) -> Result<Ciphertext> {
        let SealItem { place, plaintext } = item;
        let inner = inner.filter(|_| place.field().level() == Level::Three);
        let overhead = self.0.overhead() + if inner.is_some() { inner::OVERHEAD } else { 0 };
        scratch.clear(overhead + plaintext.len());
        self.0.seal(place, nonces, scratch, |scratch, nonces| match inner {
            Some(inner) => inner.seal(place, plaintext, nonces, scratch),
            None => {
                scratch.bytes.extend_from_slice(plaintext);
                Ok(())
            }
        })?;
        Ok(encoder.encode(&scratch.bytes)?)
    }
}

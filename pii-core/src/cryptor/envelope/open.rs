//! Opening a batch: the data keys first, all that are missing at once; then every value.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use zeroize::Zeroize as _;

use super::{
    keys::{KeyRequest, KeyService},
    seal::check_level,
};
use crate::{
    crypto::{
        SealingKey,
        xaes::{DerivedKey, HALF_NONCE, halves},
    },
    cryptor::{OpenBatch, OpenItem, ValuePlace},
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::{Parts, TAG_BYTES, decode_text},
};

/// So many data keys are asked for at once.
const CONCURRENT_UNWRAPS: usize = 16;

/// Values with the same data key in the same slot and with the same copies.
struct Group<'a> {
    sample: OpenItem<'a>,
    messages: u64,
    bytes: u64,
}

pub(super) async fn open<'a>(keys: &KeyService, batch: &'a OpenBatch<'a>) -> Result<Vec<Result<SecretBytes>>> {
    let mut groups = Groups::default();
    let group_of: Vec<usize> = batch.items().map(|item| groups.add(item)).collect();
    let mut fetches = Vec::with_capacity(groups.groups.len());
    for group in &groups.groups {
        fetches.push(opener(keys, request(keys, &group.sample), group.messages, group.bytes));
    }
    let mut openers: Vec<Result<Opener>> = stream::iter(fetches).buffered(CONCURRENT_UNWRAPS).collect().await;
    // from here on nothing waits
    let mut scratch = Scratch::default();
    let opened = batch.items().zip(group_of).map(|(item, group)| match openers.get_mut(group) {
        Some(Ok(opener)) => opener.open(&item, &mut scratch),
        Some(Err(error)) => Err(error.clone()),
        None => Err(Error::new(ErrorKind::Configuration)),
    });
    Ok(opened.collect())
}

/// What tells groups apart: the head of the text, the context and the keyring.
type GroupName<'a> = (&'a str, &'a [u8], Option<&'static str>);

fn name_of<'a>(item: &OpenItem<'a>) -> GroupName<'a> {
    (item.text.head(), item.place.context().canonical_bytes(), item.place.field().keyring())
}

#[derive(Default)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
    known: HashMap<GroupName<'a>, usize>,
    last: Option<(GroupName<'a>, usize)>,
}

impl<'a> Groups<'a> {
    /// The index of the value's group; neighbours mostly share one.
    fn add(&mut self, item: OpenItem<'a>) -> usize {
        let name = name_of(&item);
        let index = match self.last {
            Some((last, index)) if last == name => index,
            _ => *self.known.entry(name).or_insert_with(|| {
                self.groups.push(Group { sample: item, messages: 0, bytes: 0 });
                self.groups.len() - 1
            }),
        };
        self.last = Some((name, index));
        if let Some(group) = self.groups.get_mut(index) {
            group.messages += 1;
            group.bytes += u64::try_from(item.text.as_str().len()).unwrap_or(u64::MAX);
        }
        index
    }
}

fn request(keys: &KeyService, item: &OpenItem<'_>) -> Result<KeyRequest> {
    let slot = keys.slot(&item.place)?;
    let mut buffer = Vec::new();
    let parts = Parts::parse(decode_text(item.text.as_str(), &mut buffer)?)?;
    Ok(KeyRequest { key_id: parts.key_id, slot, copies: parts.copies.map(Arc::from) })
}

async fn opener(keys: &KeyService, request: Result<KeyRequest>, messages: u64, bytes: u64) -> Result<Opener> {
    let key = keys.opening(request?, messages, bytes).await?;
    Ok(Opener { key, last: None })
}

/// Buffers of one batch; plaintext passes through them.
#[derive(Default)]
struct Scratch {
    associated_data: Vec<u8>,
    decoded: Vec<u8>,
    plain: Vec<u8>,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.plain.zeroize();
    }
}

struct Opener {
    key: Arc<SealingKey>,
    last: Option<([u8; HALF_NONCE], Arc<DerivedKey>)>,
}

impl Opener {
    fn open(&mut self, item: &OpenItem<'_>, scratch: &mut Scratch) -> Result<SecretBytes> {
        check_level(&item.place)?;
        let parts = Parts::parse(decode_text(item.text.as_str(), &mut scratch.decoded)?)?;
        let refused = || Error::new(ErrorKind::Integrity).key(parts.key_id);
        let (body, tag) = parts.body.split_last_chunk::<TAG_BYTES>().ok_or_else(refused)?;
        let (first, second) = halves(&parts.nonce);
        let (derived, is_kept) = match &self.last {
            Some((half, key)) if half == first => (Arc::clone(key), true),
            _ => (self.key.for_opening(first), false),
        };
        let plain = &mut scratch.plain;
        if plain.capacity() < body.len() {
            // the old block is wiped before a longer one takes its place
            plain.zeroize();
            plain.reserve_exact(body.len().next_power_of_two());
        }
        plain.clear();
        plain.extend_from_slice(body);
        let mut opens = |place: &ValuePlace<'_>, alternative: usize| {
            match alternative {
                0 => place.write_associated_data(parts.key_id, &mut scratch.associated_data),
                _ => place.write_alternative(alternative, parts.key_id, &mut scratch.associated_data),
            }
            // a wrong tag leaves the bytes as they were
            derived.open(second, &scratch.associated_data, plain, tag).is_ok()
        };
        if !opens(&item.place, 0) && !(1..item.place.alternatives()).any(|other| opens(&item.place, other)) {
            return Err(refused());
        }
        if !is_kept {
            self.key.keep(first, &derived);
            self.last = Some((*first, derived));
        }
        Ok(SecretBytes::copy_from(plain))
    }
}

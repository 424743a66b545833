//! Opening a batch: the data keys first, all that are missing at once; then every value.

use std::{collections::HashMap, sync::Arc};

use futures_util::{StreamExt as _, stream};
use zeroize::Zeroize as _;

use super::{
    heads::Heads,
    keys::{KeyRequest, KeyService},
    seal::{check_level, slot_of},
};
use crate::{
    crypto::{
        SealingKey,
        xaes::{DerivedKey, HALF_NONCE, halves},
    },
    cryptor::OpenItem,
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::{MAX_PLAINTEXT_BYTES, Parts, TAG_BYTES, decode_text},
};

/// So many data keys are asked for at once.
const CONCURRENT_UNWRAPS: usize = 16;

/// Values with the same data key in the same slot and with the same copies.
struct Group<'a> {
    sample: OpenItem<'a>,
    messages: u64,
    bytes: u64,
}

pub(super) async fn open(keys: &KeyService, batch: &[OpenItem<'_>]) -> Result<Vec<Result<SecretBytes>>> {
    let mut groups = Groups::default();
    let group_of: Vec<usize> = batch.iter().map(|item| groups.add(*item)).collect();
    let mut fetches = Vec::with_capacity(groups.groups.len());
    for group in &groups.groups {
        fetches.push(opener(keys, request(keys, &group.sample), group.messages, group.bytes));
    }
    let mut openers: Vec<Result<Opener<'_>>> =
        stream::iter(fetches).buffered(CONCURRENT_UNWRAPS).collect().await;
    // from here on nothing waits
    let mut scratch = Scratch::default();
    let opened = batch.iter().zip(group_of).map(|(item, group)| match openers.get_mut(group) {
        Some(Ok(opener)) => opener.open(item, &mut scratch),
        Some(Err(error)) => Err(error.clone()),
        None => Err(Error::new(ErrorKind::Configuration)),
    });
    Ok(opened.collect())
}

/// What tells groups apart: the head of the text, the keyring and the context.
type GroupName<'a> = (&'a str, Option<&'static str>, &'a [u8]);

fn name_of<'a>(item: &OpenItem<'a>) -> GroupName<'a> {
    (item.text.head(), item.place.field().keyring(), item.place.context().canonical_bytes())
}

fn is_same(a: &GroupName<'_>, b: &GroupName<'_>) -> bool {
    a.0 == b.0 && a.1 == b.1 && (std::ptr::eq(a.2, b.2) || a.2 == b.2)
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
            Some((last, index)) if is_same(&last, &name) => index,
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
    let slot = slot_of(keys, &item.place)?;
    let mut buffer = Vec::new();
    let parts = Parts::parse(decode_text(item.text.as_str(), &mut buffer)?)?;
    Ok(KeyRequest { key_id: parts.key_id, slot, copies: parts.copies.map(Arc::from) })
}

async fn opener<'a>(
    keys: &KeyService,
    request: Result<KeyRequest>,
    messages: u64,
    bytes: u64,
) -> Result<Opener<'a>> {
    let key = keys.opening(request?, messages, bytes).await?;
    Ok(Opener { key, heads: Heads::default(), last: None })
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

struct Opener<'a> {
    key: Arc<SealingKey>,
    heads: Heads<'a>,
    last: Option<([u8; HALF_NONCE], Arc<DerivedKey>)>,
}

impl<'a> Opener<'a> {
    fn open(&mut self, item: &OpenItem<'a>, scratch: &mut Scratch) -> Result<SecretBytes> {
        let Scratch { associated_data, bytes } = scratch;
        check_level(&item.place)?;
        let text = item.text.as_str();
        if bytes.capacity() < text.len() {
            // the old block is wiped before a longer one takes its place
            bytes.zeroize();
            bytes.reserve_exact(text.len().next_power_of_two());
        }
        let decoded = decode_text(text, bytes)?;
        let parts = Parts::parse(decoded)?;
        let (first, second) = halves(parts.nonce);
        let (first, second) = (*first, *second);
        let (key_id, front) = (parts.key_id, decoded.len() - parts.body.len());
        let refused = || Error::new(ErrorKind::Integrity).key(key_id);
        let body = bytes.get_mut(front..).unwrap_or_default();
        let (body, tag) = body.split_last_chunk_mut::<TAG_BYTES>().ok_or_else(refused)?;
        let candidate = match &self.last {
            Some((half, _)) if *half == first => None,
            _ => Some(self.key.for_opening(&first)),
        };
        let Some(derived) = candidate.as_ref().or(self.last.as_ref().map(|(_, key)| key)) else {
            return Err(refused());
        };
        let heads = &mut self.heads;
        let mut opens = |alternative: usize| {
            match alternative {
                0 => heads.write(&item.place, key_id, associated_data),
                _ => item.place.write_alternative(alternative, key_id, associated_data),
            }
            // a wrong tag leaves the bytes as they were
            derived.open(&second, associated_data, body, tag).is_ok()
        };
        if !opens(0) && !(1..item.place.alternatives()).any(&mut opens) {
            return Err(refused());
        }
        if body.len() > MAX_PLAINTEXT_BYTES {
            return Err(Error::new(ErrorKind::Malformed).key(key_id).message("the plaintext is too long"));
        }
        if let Some(derived) = candidate {
            self.key.keep(&first, &derived);
            self.last = Some((first, derived));
        }
        Ok(SecretBytes::copy_from(body))
    }
}

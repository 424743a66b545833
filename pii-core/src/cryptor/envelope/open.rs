//! Opening a batch: the data keys first, all that are missing at once; then every value.

use std::sync::Arc;

use futures_util::{StreamExt as _, future::join, stream};

use super::{
    super::names::Names,
    groups::GroupOf,
    inner::{self, Failure, InnerOpener},
    keys::{KeyRequest, KeyService},
    layer::{OpeningLayer, Scratch},
    seal::slot_of,
};
use crate::{
    app_keys::LoadedAppKeys,
    crypto::SealingKey,
    cryptor::OpenItem,
    error::{Error, ErrorKind, Result},
    model::Level,
    secret::SecretBytes,
    wire::{Envelope, KeyId, Layout, MAX_PLAINTEXT_BYTES, Parts, TAG_BYTES, decode_text, decode_text_into},
};

/// Values with the same data key in the same slot and with the same copies.
struct Group<'a> {
    sample: OpenItem<'a>,
    messages: u64,
    bytes: u64,
}

pub(super) async fn open(
    keys: &KeyService,
    app_keys: Option<&LoadedAppKeys>,
    batch: &[OpenItem<'_>],
) -> Result<Vec<Result<SecretBytes>>> {
    let Grouped { groups, group_of, has_inner } = Grouped::of(app_keys, batch)?;
    let app_keys = app_keys.filter(|_| has_inner);
    let mut requests = Vec::with_capacity(groups.len());
    let mut inline_keys = keys.inline_keys_per_batch();
    for group in &groups {
        let request = request(keys, &group.sample).and_then(|request| {
            if request.copies.is_some() && !keys.is_kept(&request) {
                inline_keys = inline_keys.checked_sub(1).ok_or_else(|| too_many_keys(request.key_id))?;
            }
            Ok(request)
        });
        requests.push((request, group.messages, group.bytes));
    }
    let fetched = async {
        match requests.pop() {
            Some((only, messages, bytes)) if requests.is_empty() => {
                vec![fetch(keys, only, messages, bytes).await]
            }
            last => {
                requests.extend(last);
                let asked = requests
                    .into_iter()
                    .map(|(request, messages, bytes)| fetch(keys, request, messages, bytes))
                    .collect::<Vec<_>>();
                stream::iter(asked).buffered(keys.concurrency()).collect::<Vec<_>>().await
            }
        }
    };
    let (fetched, inner) = match app_keys {
        Some(app_keys) => {
            let (fetched, loaded) = join(fetched, app_keys.current()).await;
            (fetched, Some(InnerOpener::new(loaded)))
        }
        None => (fetched.await, None),
    };
    let mut openers =
        Openers { openers: fetched.into_iter().map(|key| key.map(Opener::new)).collect(), inner };
    // from here on nothing waits, unless a value names an application key that is not known yet
    let mut unknown: Vec<(usize, KeyId)> = Vec::new();
    let mut opened = openers.open_all(batch, &group_of, &mut unknown);
    let Some(app_keys) = app_keys.filter(|_| !unknown.is_empty()) else { return Ok(opened) };
    let key_ids: Vec<KeyId> = unknown.iter().map(|(_, key_id)| *key_id).collect();
    let renewed = app_keys.after_unknown(&key_ids).await;
    openers.inner = renewed.as_ref().ok().map(|keys| InnerOpener::new(Ok(keys.clone())));
    let mut scratch = Scratch::new();
    for (index, key_id) in unknown {
        let item = batch.get(index).zip(group_of.get(index));
        let (Some((item, group)), Some(result)) = (item, opened.get_mut(index)) else { continue };
        match &renewed {
            Err(error) => *result = Err(inner::no_news(error, key_id)),
            Ok(_) => match openers.open(item, group, &mut scratch) {
                Ok(plain) => *result = Ok(plain),
                Err(Failure::Refused(error)) => *result = Err(error),
                Err(Failure::UnknownAppKey(_)) => {}
            },
        }
    }
    Ok(opened)
}

/// As [`open`], if all keys are at hand.
pub(super) fn open_at_hand(
    keys: &KeyService,
    app_keys: Option<&LoadedAppKeys>,
    batch: &[OpenItem<'_>],
) -> Option<Vec<Result<SecretBytes>>> {
    let Grouped { groups, group_of, has_inner } = Grouped::of(app_keys, batch).ok()?;
    let inner = match app_keys.filter(|_| has_inner) {
        Some(app_keys) => Some(InnerOpener::new(Ok(app_keys.at_hand()?))),
        None => None,
    };
    let requests = groups.iter().map(|group| {
        let request = request(keys, &group.sample).ok()?;
        Some((request, group.messages, group.bytes))
    });
    let requests = requests.collect::<Option<Vec<_>>>()?;
    let openers = keys.opening_at_hand(requests.into_iter())?.into_iter().map(|key| Ok(Opener::new(key)));
    let mut openers = Openers { openers: openers.collect(), inner };
    let mut unknown = Vec::new();
    let opened = openers.open_all(batch, &group_of, &mut unknown);
    unknown.is_empty().then_some(opened)
}

/// The values of a batch by their data keys.
struct Grouped<'a> {
    groups: Vec<Group<'a>>,
    group_of: GroupOf,
    /// whether a value has an inner envelope
    has_inner: bool,
}

impl<'a> Grouped<'a> {
    fn of(app_keys: Option<&LoadedAppKeys>, batch: &[OpenItem<'a>]) -> Result<Self> {
        let mut groups = Groups::default();
        let mut group_of = GroupOf::new(batch.len());
        let mut has_inner = false;
        for item in batch {
            has_inner |= inner::is_needed(&item.place, app_keys)?;
            group_of.push(groups.add(item));
        }
        Ok(Self { groups: groups.groups, group_of, has_inner })
    }
}

/// The keys of one batch.
struct Openers<'a> {
    openers: Vec<Result<Opener<'a>>>,
    /// for values of level 3
    inner: Option<InnerOpener<'a>>,
}

impl<'a> Openers<'a> {
    /// Opens the values of a batch, and notes those whose application key is not known. No part of the
    /// future that waits for keys: its variables would be memory.
    fn open_all(
        &mut self,
        batch: &[OpenItem<'a>],
        group_of: &GroupOf,
        unknown: &mut Vec<(usize, KeyId)>,
    ) -> Vec<Result<SecretBytes>> {
        let mut opened = Vec::with_capacity(batch.len());
        let mut scratch = Scratch::new();
        for (index, item) in batch.iter().enumerate() {
            let group = group_of.get(index).unwrap_or(usize::MAX);
            opened.push(self.open(item, group, &mut scratch).map_err(|failure| match failure {
                Failure::Refused(error) => error,
                Failure::UnknownAppKey(key_id) => {
                    unknown.push((index, key_id));
                    inner::unknown_key(key_id)
                }
            }));
        }
        opened
    }

    #[inline]
    fn open(
        &mut self,
        item: &OpenItem<'a>,
        group: usize,
        scratch: &mut Scratch,
    ) -> Result<SecretBytes, Failure> {
        match self.openers.get_mut(group) {
            Some(Ok(opener)) => opener.open(item, self.inner.as_mut(), scratch),
            Some(Err(error)) => Err(error.clone().into()),
            None => Err(Error::new(ErrorKind::Configuration).into()),
        }
    }
}

/// What tells groups apart: the head of the text, the keyring and the context.
type GroupName<'a> = (&'a str, Option<&'static str>, &'a [u8]);

#[inline]
fn name_of<'a>(item: &OpenItem<'a>) -> GroupName<'a> {
    (item.text.head(), item.place.field().keyring(), item.place.context().canonical_bytes())
}

#[inline]
fn is_same(a: &GroupName<'_>, b: &GroupName<'_>) -> bool {
    std::ptr::eq(a.2, b.2) && a.1 == b.1 && a.0 == b.0
}

#[derive(Default)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
    known: Names<GroupName<'a>>,
    last: Option<(GroupName<'a>, usize)>,
}

impl<'a> Groups<'a> {
    /// The index of the value's group; neighbours mostly share one.
    #[inline]
    fn add(&mut self, item: &OpenItem<'a>) -> usize {
        let name = name_of(item);
        let index = match &self.last {
            Some((last, index)) if is_same(last, &name) => *index,
            _ => self.find(item, name),
        };
        if let Some(group) = self.groups.get_mut(index) {
            group.messages += 1;
            group.bytes += u64::try_from(item.text.as_str().len()).unwrap_or(u64::MAX);
        }
        index
    }

    fn find(&mut self, item: &OpenItem<'a>, name: GroupName<'a>) -> usize {
        let index = match self.known.find(&name) {
            Some(known) => known,
            None => {
                self.groups.push(Group { sample: *item, messages: 0, bytes: 0 });
                self.known.add(name)
            }
        };
        self.last = Some((name, index));
        index
    }
}

fn request(keys: &KeyService, item: &OpenItem<'_>) -> Result<KeyRequest> {
    let slot = slot_of(keys, &item.place)?;
    let (key_id, layout) = KeyId::in_prefix(item.text.as_str())?;
    let copies = match layout {
        Layout::KeyStore => None,
        Layout::InlineCopies => {
            let mut buffer = Vec::new();
            Parts::parse(decode_text(item.text.as_str(), &mut buffer)?)?.copies.map(Arc::from)
        }
    };
    Ok(KeyRequest { key_id, slot, copies })
}

fn too_many_keys(key_id: KeyId) -> Error {
    Error::new(ErrorKind::Configuration)
        .key(key_id)
        .message("the values of this batch carry more data keys than one batch may unwrap")
        .help("open fewer rows at once, use a key store, or raise `inline_keys_per_batch`")
}

async fn fetch(
    keys: &KeyService,
    request: Result<KeyRequest>,
    messages: u64,
    bytes: u64,
) -> Result<Arc<SealingKey>> {
    keys.opening(request?, messages, bytes).await
}

struct Opener<'a>(OpeningLayer<'a>);

impl<'a> Opener<'a> {
    fn new(key: Arc<SealingKey>) -> Self {
        Self(OpeningLayer::new(Envelope::Outer, key))
    }

    fn open(
        &mut self,
        item: &OpenItem<'a>,
        inner: Option<&mut InnerOpener<'a>>,
        scratch: &mut Scratch,
    ) -> Result<SecretBytes, Failure> {
        let OpenItem { place, text } = item;
        scratch.fill(text.as_str().len());
        let Scratch { associated_data, bytes } = scratch;
        let decoded = decode_text_into(text.as_str(), bytes).map_err(Error::from)?;
        let front = decoded.len() - Parts::parse(decoded).map_err(Error::from)?.body.len();
        let (front, body) = decoded.split_at_mut_checked(front).unwrap_or_default();
        let refused = |kind: ErrorKind| match KeyId::in_header(front) {
            Some(key_id) => Error::new(kind).key(key_id),
            None => Error::new(kind),
        };
        let nonce = front.last_chunk().ok_or_else(|| refused(ErrorKind::Integrity))?;
        let (body, tag) =
            body.split_last_chunk_mut::<TAG_BYTES>().ok_or_else(|| refused(ErrorKind::Integrity))?;
        let mut open = |alternatives| self.0.open(place, alternatives, nonce, body, tag, associated_data);
        let alternative = open(0..1)
            .or_else(|| open(1..place.alternatives()))
            .ok_or_else(|| refused(ErrorKind::Integrity))?;
        let plain = match (place.field().level(), inner) {
            (Level::Two, _) => body,
            (Level::Three, Some(inner)) => inner.open(place, alternative, body, associated_data, refused)?,
            _ => return Err(refused(ErrorKind::Configuration).into()),
        };
        if plain.len() > MAX_PLAINTEXT_BYTES {
            return Err(refused(ErrorKind::Malformed).message("the plaintext is too long").into());
        }
        Ok(SecretBytes::copy_from(plain))
    }
}

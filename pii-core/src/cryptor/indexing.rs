//! The texts of blind indexes, beside the sealed texts of rows and for searches.

#[cfg(test)]
mod vectors;

use std::{borrow::Cow, ops::Range, sync::Arc};

use smallvec::{SmallVec, smallvec};

use super::{
    Cryptor, FieldSelection,
    backend::{IndexItem, OpenItem},
    open::Keys,
    place::{RowPlaces, check_scope},
    seal::{Visited, too_few},
};
use crate::{
    audit::AuditEvent,
    context::{EncryptionContext, SUBJECT},
    crypto::CODE_BYTES,
    error::{Error, ErrorKind, Result},
    index::{
        INPUT_BEGINS, IndexPart, IndexScope, IndexSearch, IndexSpec, IndexVersion, VALUE_BEGINS,
        input_begins, input_goes_on, input_of, text_of, with_normalized, write_info,
    },
    model::{ModelSpec, PiiModel, Slot, TypeCode, Walk},
    secret::{SecretBytes, WipingBuffer},
    value::Cell,
};

/// What is stored for one version of a blind index of a row.
#[derive(Debug, Clone)]
pub struct IndexEntry {
    /// The version, with its column and attribute.
    pub version: &'static IndexVersion,
    /// What is stored.
    pub text: IndexText,
}

/// The text of a blind index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexText {
    /// This text.
    Text(Arc<str>),
    /// Nothing, or NULL: the row has no value there, or nothing is left of it after normalising.
    Null,
    /// What is stored already: the value is written back as it was loaded, and was not opened.
    Unchanged,
}

/// What a search looks for in one version of a blind index.
#[derive(Debug, Clone)]
pub struct IndexTerm {
    /// The version, with its column and attribute.
    pub version: &'static IndexVersion,
    /// A row is found that has one of these texts: one, or more if the model or a field was renamed.
    pub texts: Vec<Arc<str>>,
}

/// Whether the whole row is written, or what changed of it, or its values without their codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Row,
    Changes,
    Values,
}

impl Cryptor {
    /// The entries of all blind indexes of these models, in the order of the model's versions: to fill the
    /// columns of a new version, or of rows from before the index, or of a row that is written by means of your
    /// own after [`Cryptor::seal`]. Values that are sealed and not open are opened for it, and stay as they are.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`] and [`Cryptor::open`]; [`ErrorKind::Mode`] where a sealed value can't be
    /// opened; [`ErrorKind::Configuration`] if the cryptor has no key store.
    pub async fn index_entries<'a, M, I>(&self, models: I) -> Result<Vec<Vec<IndexEntry>>>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        let Visited { places, walk, rows } = Visited::of(models, self.usable_scope()?);
        let batch = IndexBatch { model: M::MODEL, places: &places, walk: &walk, rows: &rows? };
        let mut events = Vec::new();
        let entries = self.index_rows(&batch, Written::Row, &FieldSelection::All, &mut events).await;
        self.record(events).await?;
        entries
    }

    /// What a search looks for, in each live version of its index.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSearch`] for an empty value; [`ErrorKind::InvalidContext`];
    /// [`ErrorKind::ContextMismatch`] for a context outside the scope; all key errors.
    pub async fn index_terms<M: PiiModel>(&self, search: &IndexSearch<M>) -> Result<Vec<IndexTerm>> {
        let index = search.index()?;
        let terms = search.terms()?;
        let context = Arc::new(search.index_context()?);
        if let (IndexScope::Context, Some(scope)) = (index.scope(), self.usable_scope()?) {
            check_scope(&context, &scope.without(SUBJECT)?).map_err(|error| error.model(M::MODEL.name()))?;
        }
        let keyring = keyring_of(M::MODEL, index);
        let mut input = Vec::new();
        input_of(terms.iter().map(|term| term.expose()), &mut input);
        let input = SecretBytes::from_vec(input);
        let infos = every_info(M::MODEL, index);
        let versions = index.versions().iter();
        let items: Vec<IndexItem<'_>> = versions
            .flat_map(|version| {
                infos.iter().map(|info| IndexItem {
                    context: &context,
                    keyring,
                    epoch: epoch_of(version),
                    info,
                    input: input.expose(),
                })
            })
            .collect();
        let codes = self.backend.index(&items).await.map_err(|error| error.model(M::MODEL.name()))?;
        if codes.len() != items.len() {
            return Err(too_few());
        }
        let texts = codes.chunks(infos.len());
        Ok(index
            .versions()
            .iter()
            .zip(texts)
            .map(|(version, codes)| IndexTerm {
                version,
                texts: codes.iter().map(|code| text_of(index, code)).collect(),
            })
            .collect())
    }

    /// What is stored for the value that is searched for, in the newest version of its index: where that is
    /// the key of a table, so that no two rows can have the value.
    ///
    /// # Errors
    /// As [`Cryptor::index_terms`].
    pub async fn index_text<M: PiiModel>(&self, search: &IndexSearch<M>) -> Result<Arc<str>> {
        let terms = self.index_terms(search).await?;
        let newest = terms.into_iter().max_by_key(|term| term.version.number);
        newest.and_then(|term| term.texts.into_iter().next()).ok_or_else(too_few)
    }

    /// Asks for the index keys of these contexts.
    pub(super) async fn prepare_indexes(
        &self,
        model: &'static ModelSpec,
        contexts: &[Arc<EncryptionContext>],
    ) -> Result<()> {
        let mut wanted: Vec<(Arc<EncryptionContext>, &IndexSpec)> = Vec::new();
        for index in model.indexes() {
            let mut of_index = Vec::with_capacity(contexts.len());
            for context in contexts {
                of_index.push(context_of(model, index, context)?);
            }
            of_index.sort_by(|a, b| a.canonical_bytes().cmp(b.canonical_bytes()));
            of_index.dedup();
            wanted.extend(of_index.into_iter().map(|context| (context, index)));
        }
        let items: Vec<IndexItem<'_>> = wanted
            .iter()
            .flat_map(|(context, index)| {
                let keyring = keyring_of(model, index);
                let item = move |version: &IndexVersion| IndexItem {
                    context,
                    keyring,
                    epoch: epoch_of(version),
                    info: &[],
                    input: &[],
                };
                index.versions().iter().map(item)
            })
            .collect();
        if !items.is_empty() {
            self.backend.index(&items).await.map_err(|error| error.model(model.name()))?;
        }
        Ok(())
    }

    /// The entries of rows whose values were found fit for sealing.
    pub(super) async fn index_rows(
        &self,
        batch: &IndexBatch<'_>,
        written: Written,
        fields: &FieldSelection,
        events: &mut Vec<AuditEvent>,
    ) -> Result<Vec<Vec<IndexEntry>>> {
        let indexes: Vec<&'static IndexSpec> =
            batch.model.indexes().iter().filter(|index| is_touched(fields, index)).collect();
        if indexes.is_empty() {
            return Ok(vec![Vec::new(); batch.rows.len()]);
        }
        let mut opening = Opening::default();
        let found = self.values_of_rows(batch, &indexes, written, &mut opening)?;
        let opened = self.opened(opening, events).await?;
        let (codes, texts) = Codes::of(batch, &indexes, found, &opened)?;
        let codes = codes.compute(self, batch.model).await?;
        entries_of(&indexes, &texts, &codes)
    }

    /// For each row the values of each index. No part of the future that waits for keys: its variables would be
    /// memory.
    fn values_of_rows<'a>(
        &self,
        batch: &'a IndexBatch<'a>,
        indexes: &[&'static IndexSpec],
        written: Written,
        opening: &mut Opening<'a>,
    ) -> Result<Vec<Values<'a>>> {
        let mut found = Vec::with_capacity(batch.rows.len().saturating_mul(indexes.len()));
        for row in batch.rows {
            for index in indexes {
                found.push(self.values_of(batch, row, index, written, opening)?);
            }
        }
        Ok(found)
    }

    /// The values that an index of a row is computed of; those that are sealed are put on the list.
    fn values_of<'a>(
        &self,
        batch: &'a IndexBatch<'a>,
        (place, slots): &(usize, Range<usize>),
        index: &'static IndexSpec,
        written: Written,
        opening: &mut Opening<'a>,
    ) -> Result<Values<'a>> {
        let slots = batch.walk.slots().get(slots.clone()).unwrap_or_default();
        let slot_of = |part: &IndexPart| {
            slots.iter().find(|slot| slot.is_plain_field() && slot.field.name() == part.field)
        };
        if let [part] = index.parts()
            && let Some(slot) = slot_of(part)
            && let Some(plain) = plain_of(slot)
        {
            return Ok(Values::All(smallvec![(part, slot, Value::Here(plain))]));
        }
        let mut parts = SmallVec::<[_; INLINE_PARTS]>::new();
        let (mut is_empty, mut lacking) = (false, None);
        for part in index.parts() {
            match slot_of(part) {
                Some(slot) => parts.push((part, slot)),
                None if batch.model.field(part.field).is_some() => is_empty = true,
                None => lacking = Some(part.field),
            }
        }
        if let Some(field) = lacking {
            // a view: what it does not have stays as it is
            return match parts.iter().all(|(_, slot)| is_as_loaded(slot)) && !is_empty {
                true => Ok(Values::Unchanged),
                false => Err(lacks(batch.model, index, field)),
            };
        }
        if is_empty {
            return Ok(Values::Nothing);
        }
        if written == Written::Changes && parts.iter().all(|(_, slot)| is_as_loaded(slot)) {
            return Ok(Values::Unchanged);
        }
        let mut values = SmallVec::new();
        for (part, slot) in parts {
            if let Some(plain) = plain_of(slot) {
                values.push((part, slot, Value::Here(plain)));
                continue;
            }
            let place = batch.places.place(*place, batch.walk, slot).ok_or_else(too_few)?;
            let text = slot.cell.sealed_text().filter(|text| !text.is_foreign());
            let text = text.filter(|_| place.field().mode().can_open() && self.mode.can_open());
            let text = text.ok_or_else(|| place.locate(not_open(index)))?;
            values.push((part, slot, Value::Opened(opening.items.len())));
            opening.items.push(OpenItem { place, text });
        }
        Ok(Values::All(values))
    }

    async fn opened(&self, opening: Opening<'_>, events: &mut Vec<AuditEvent>) -> Result<Vec<SecretBytes>> {
        if opening.items.is_empty() {
            return Ok(Vec::new());
        }
        let opened = self.open_items(&opening.items, Keys::AskedFor, events).await?;
        let located = opened.into_iter().zip(&opening.items);
        located.map(|(opened, item)| opened.map_err(|error| item.place.locate(error))).collect()
    }
}

/// Rows whose entries are computed together.
pub(super) struct IndexBatch<'a> {
    pub(super) model: &'static ModelSpec,
    pub(super) places: &'a RowPlaces,
    pub(super) walk: &'a Walk<'a>,
    pub(super) rows: &'a [(usize, Range<usize>)],
}

/// Values that must be opened first.
#[derive(Default)]
struct Opening<'a> {
    items: Vec<OpenItem<'a>>,
}

/// Indexes of up to this many fields need no block of their own.
const INLINE_PARTS: usize = 1;

enum Values<'a> {
    Nothing,
    Unchanged,
    All(SmallVec<[(&'static IndexPart, &'a Slot<'a>, Value<'a>); INLINE_PARTS]>),
}

enum Value<'a> {
    Here(Cow<'a, SecretBytes>),
    /// by its position among those that were opened
    Opened(usize),
}

impl<'a> Value<'a> {
    fn plain(self, opened: &'a [SecretBytes]) -> Result<Cow<'a, SecretBytes>> {
        match self {
            Self::Here(plain) => Ok(plain),
            Self::Opened(position) => opened.get(position).map(Cow::Borrowed).ok_or_else(too_few),
        }
    }
}

#[derive(Clone, Copy)]
enum Found {
    Nothing,
    Unchanged,
    Code,
}

/// So many contexts are remembered at a time: one for each index of a model, mostly.
const NEIGHBOURS: usize = 8;

/// The codes of a batch.
struct Codes {
    indexes: Vec<OfIndex>,
    items: Vec<CodeItem>,
    /// what goes into the codes, one after the other
    inputs: WipingBuffer,
    /// contexts of rows, and those that their indexes have for them
    contexts: Vec<(Arc<EncryptionContext>, &'static str, Arc<EncryptionContext>)>,
}

/// What the codes of an index share.
struct OfIndex {
    keyring: Option<&'static str>,
    /// what the index is
    info: Vec<u8>,
}

/// Of context, index and input it says where they stand.
struct CodeItem {
    context: usize,
    index: usize,
    epoch: u32,
    input: Range<usize>,
}

impl Codes {
    /// Of the values that were found for each row and index.
    fn of(
        batch: &IndexBatch<'_>,
        indexes: &[&'static IndexSpec],
        values: Vec<Values<'_>>,
        opened: &[SecretBytes],
    ) -> Result<(Self, Vec<Found>)> {
        let length = |values: &Values<'_>| input_length(values, opened);
        let mut codes = Self {
            indexes: indexes.iter().map(|index| OfIndex::new(batch.model, index)).collect(),
            items: Vec::with_capacity(values.len()),
            // nothing is moved and wiped on the way, unless normalising makes values longer
            inputs: WipingBuffer::with_capacity(values.iter().map(length).fold(0, usize::saturating_add)),
            contexts: Vec::new(),
        };
        let mut values = values.into_iter();
        let mut texts = Vec::with_capacity(values.len());
        for (place, _) in batch.rows {
            let context = batch.places.context_of(*place).ok_or_else(too_few)?;
            for (position, index) in indexes.iter().enumerate() {
                let values = values.next().ok_or_else(too_few)?;
                texts.push(codes.add(batch.model, (position, index), context, values, opened)?);
            }
        }
        Ok((codes, texts))
    }

    fn add(
        &mut self,
        model: &'static ModelSpec,
        (position, index): (usize, &'static IndexSpec),
        context: &Arc<EncryptionContext>,
        values: Values<'_>,
        opened: &[SecretBytes],
    ) -> Result<Found> {
        let values = match values {
            Values::Nothing => return Ok(Found::Nothing),
            Values::Unchanged => return Ok(Found::Unchanged),
            Values::All(values) => values,
        };
        let start = self.inputs.bytes().len();
        input_begins(values.len(), |bytes| self.inputs.push(bytes));
        for (part, slot, value) in values {
            let plain = value.plain(opened)?;
            let is_text = slot.ops.code == TypeCode::UTF8;
            let append = |value: &[u8]| input_goes_on(value, |bytes| self.inputs.push(bytes));
            let appended = with_normalized(part.normalizers, is_text, plain.expose(), append);
            if appended.map_err(|error| error.field(model.name(), part.field))?.is_none() {
                self.inputs.truncate(start);
                return Ok(Found::Nothing);
            }
        }
        let input = start..self.inputs.bytes().len();
        let context = self.context(model, index, context)?;
        self.items.extend(index.versions().iter().map(|version| CodeItem {
            context,
            index: position,
            epoch: epoch_of(version),
            input: input.clone(),
        }));
        Ok(Found::Code)
    }

    /// Neighbours mostly share a context.
    fn context(
        &mut self,
        model: &'static ModelSpec,
        index: &'static IndexSpec,
        context: &Arc<EncryptionContext>,
    ) -> Result<usize> {
        let is_it = |(of, name, _): &(Arc<_>, &'static str, Arc<_>)| {
            Arc::ptr_eq(of, context) && (std::ptr::eq(*name, index.name()) || *name == index.name())
        };
        let mut last = self.contexts.iter().enumerate().rev().take(NEIGHBOURS);
        if let Some((known, _)) = last.find(|(_, known)| is_it(known)) {
            return Ok(known);
        }
        let of_index = context_of(model, index, context)?;
        self.contexts.push((Arc::clone(context), index.name(), of_index));
        Ok(self.contexts.len() - 1)
    }

    async fn compute(self, cryptor: &Cryptor, model: &ModelSpec) -> Result<Vec<[u8; 32]>> {
        if self.items.is_empty() {
            return Ok(Vec::new());
        }
        let inputs = self.inputs.bytes();
        let mut items: Vec<IndexItem<'_>> = Vec::with_capacity(self.items.len());
        for item in &self.items {
            let (_, _, context) = self.contexts.get(item.context).ok_or_else(too_few)?;
            let OfIndex { keyring, info } = self.indexes.get(item.index).ok_or_else(too_few)?;
            let input = inputs.get(item.input.clone()).ok_or_else(too_few)?;
            items.push(IndexItem { context, keyring: *keyring, epoch: item.epoch, info, input });
        }
        let codes = cryptor.backend.index(&items).await.map_err(|error| error.model(model.name()))?;
        if codes.len() != items.len() {
            return Err(too_few());
        }
        Ok(codes)
    }
}

impl OfIndex {
    fn new(model: &'static ModelSpec, index: &'static IndexSpec) -> Self {
        let mut info = Vec::new();
        let name_of =
            |position: usize| index.parts().get(position).map(|part| part.field).unwrap_or_default();
        write_info(model, model.name(), index, name_of, &mut info);
        Self { keyring: keyring_of(model, index), info }
    }
}

/// The length of what goes into a code, if normalising leaves the values as they are.
fn input_length(values: &Values<'_>, opened: &[SecretBytes]) -> usize {
    let Values::All(values) = values else { return 0 };
    let of_value = |(_, _, value): &(&IndexPart, &Slot<'_>, Value<'_>)| {
        let plain = match value {
            Value::Here(plain) => Some(&**plain),
            Value::Opened(position) => opened.get(*position),
        };
        VALUE_BEGINS + plain.map_or(0, |plain| plain.expose().len())
    };
    values.iter().map(of_value).fold(INPUT_BEGINS, usize::saturating_add)
}

/// The entries of rows, by what was found for each row and index, and the codes in this order.
fn entries_of(
    indexes: &[&'static IndexSpec],
    found: &[Found],
    codes: &[[u8; CODE_BYTES]],
) -> Result<Vec<Vec<IndexEntry>>> {
    let mut codes = codes.iter();
    let count = indexes.iter().map(|index| index.versions().len()).sum();
    let mut rows = Vec::with_capacity(found.len() / indexes.len().max(1));
    for found in found.chunks(indexes.len().max(1)) {
        let mut entries = Vec::with_capacity(count);
        for (index, found) in indexes.iter().zip(found) {
            for version in index.versions() {
                let text = match found {
                    Found::Nothing => IndexText::Null,
                    Found::Unchanged => IndexText::Unchanged,
                    Found::Code => IndexText::Text(text_of(index, codes.next().ok_or_else(too_few)?)),
                };
                entries.push(IndexEntry { version, text });
            }
        }
        rows.push(entries);
    }
    Ok(rows)
}

/// Entries as long as those that will be stored, at most.
pub(super) fn sized_entries(model: &'static ModelSpec, slots: &[Slot<'_>]) -> Vec<IndexEntry> {
    let mut entries = Vec::new();
    for index in model.indexes() {
        let is_there = |part: &IndexPart| {
            slots.iter().any(|slot| slot.is_plain_field() && slot.field.name() == part.field)
        };
        let text = match index.parts().iter().all(is_there) {
            true => IndexText::Text("0".repeat(index.size().text_length()).into()),
            false => IndexText::Null,
        };
        entries.extend(index.versions().iter().map(|version| IndexEntry { version, text: text.clone() }));
    }
    entries
}

/// The plaintext, if it is at hand; stored text that a policy accepts is one.
fn plain_of<'a>(slot: &Slot<'a>) -> Option<Cow<'a, SecretBytes>> {
    match slot.cell {
        Cell::Legacy(text) => slot.ops.accepted(text).ok().map(Cow::Owned),
        cell => cell.plain().map(Cow::Borrowed),
    }
}

/// Whether the value is the one that was loaded from its place. A sealed text that came from elsewhere, such as an
/// older one of the same row, may stand for another value than the stored code.
fn is_as_loaded(slot: &Slot<'_>) -> bool {
    plain_of(slot).is_none() && slot.cell.is_stamped()
}

/// Whether a chosen field is a part of the index.
fn is_touched(fields: &FieldSelection, index: &IndexSpec) -> bool {
    match fields {
        FieldSelection::All => true,
        FieldSelection::Nothing => false,
        FieldSelection::Only(names) => {
            index.parts().iter().any(|part| names.iter().any(|name| name == part.field))
        }
    }
}

/// The context that an index of a row has.
fn context_of(
    model: &ModelSpec,
    index: &IndexSpec,
    context: &Arc<EncryptionContext>,
) -> Result<Arc<EncryptionContext>> {
    match index.scope() {
        IndexScope::Context if context.get(SUBJECT).is_none() => Ok(Arc::clone(context)),
        IndexScope::Context => context.without(SUBJECT).map(Arc::new),
        IndexScope::Global => model.literal_context().map(Arc::new),
    }
}

/// Epochs count from 0, versions from 1.
fn epoch_of(version: &IndexVersion) -> u32 {
    version.number.saturating_sub(1)
}

fn keyring_of(model: &ModelSpec, index: &IndexSpec) -> Option<&'static str> {
    index.parts().first().and_then(|part| model.field(part.field)).and_then(|field| field.keyring())
}

/// What the index is, under the names of now and of earlier times.
fn every_info(model: &'static ModelSpec, index: &'static IndexSpec) -> Vec<Vec<u8>> {
    /// so many names are searched
    const MOST: usize = 64;
    let mut fields: Vec<Vec<&'static str>> = vec![Vec::new()];
    for part in index.parts() {
        let was = model.field(part.field).map_or(&[][..], |field| field.was());
        let names = std::iter::once(part.field).chain(was.iter().copied());
        let longer = names.flat_map(|name| {
            fields.iter().map(move |before| before.iter().copied().chain([name]).collect::<Vec<_>>())
        });
        let longer: Vec<_> = longer.take(MOST).collect();
        fields = longer;
    }
    let models = std::iter::once(model.name()).chain(model.was().iter().copied());
    let infos = models.flat_map(|name| {
        fields.iter().map(move |fields| {
            let mut info = Vec::new();
            let name_of = |position: usize| fields.get(position).copied().unwrap_or_default();
            write_info(model, name, index, name_of, &mut info);
            info
        })
    });
    infos.take(MOST).collect()
}

#[cold]
fn not_open(index: &IndexSpec) -> Error {
    Error::new(ErrorKind::Mode)
        .message(format!(
            "the blind index `{}` of a sealed value can't be computed without opening it",
            index.name()
        ))
        .help("update the row, which leaves the index of an unchanged value as it is, or set the value anew")
}

#[cold]
fn lacks(model: &ModelSpec, index: &IndexSpec, field: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .model(model.name())
        .message(format!(
            "this view lacks the field `{field}` of the blind index `{}`, which must change too",
            index.name()
        ))
        .help("write through a view that has all fields of the index, or through the model")
}

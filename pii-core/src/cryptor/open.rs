//! From loaded models to opened ones.

use futures_util::FutureExt as _;

use super::{
    Cryptor,
    backend::OpenItem,
    fields::Stamps,
    legacy::LegacyOpen,
    place::{RowPlaces, ValuePlace},
    rows::{ModelRules, Part, PiiRow, Placed, Rows},
    seal::{not_encrypted, wrong_place},
};
use crate::{
    audit::{AuditEvent, Operation},
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, Holds, ModelSpec, PathStep, PlaintextPolicy, Slot, Walk},
    secret::SecretBytes,
    value::{Cell, Place, unpadded, wrong_type},
    wire::Ciphertext,
};

/// Which fields to open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FieldSelection {
    /// None: loaded values are only given their place, and legacy text meets its policy.
    Nothing,
    /// Every field whose mode allows it.
    #[default]
    All,
    /// These fields, by their stable names; a field that can't be opened is an error.
    Only(Vec<String>),
}

impl FieldSelection {
    /// These fields.
    pub fn only<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self::Only(names.into_iter().map(Into::into).collect())
    }

    pub(super) fn check(&self, model: &ModelSpec) -> Result<()> {
        for (name, field) in self.named(model)? {
            let forbidden =
                matches!(field.holds(), Holds::Value(_) | Holds::Values(_)) && !field.mode().can_open();
            if forbidden {
                return Err(cannot_decrypt().field(model.name(), name));
            }
        }
        Ok(())
    }

    /// The fields that are named, each of which must be a sealed one of the model.
    pub(super) fn named(&self, model: &ModelSpec) -> Result<Vec<(&str, &'static FieldSpec)>> {
        let Self::Only(names) = self else { return Ok(Vec::new()) };
        let find = |name: &String| model.field(name).filter(|field| field.is_sealed());
        let named = names.iter().map(|name| match find(name) {
            Some(field) => Ok((name.as_str(), field)),
            None => Err(Error::new(ErrorKind::Configuration)
                .field(model.name(), name)
                .message("there is no sealed field of this name")
                .help("use the field's stable name, as `pii_fields()` lists it")),
        });
        named.collect()
    }

    /// Whether the value of this slot is in a chosen field.
    #[inline]
    pub(crate) fn wants<'a>(&self, walk: &Walk<'a>, slot: &Slot<'a>) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(names) => match walk.path(slot).first() {
                Some(PathStep::Field(field)) => names.iter().any(|name| name == field.name()),
                _ => false,
            },
        }
    }
}

/// What became of each row: `Ok`, or why it could not be opened. Values of a row that failed stay
/// sealed.
pub type Opening = Vec<Result<()>>;

/// Where the keys of values come from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keys {
    /// Whoever has them is asked for those that are not at hand.
    AskedFor,
    /// Those at hand must do.
    AtHand,
}

impl Keys {
    fn may_be_asked_for(self) -> Result<()> {
        match self {
            Self::AskedFor => Ok(()),
            Self::AtHand => Err(not_at_hand()),
        }
    }
}

/// Never shown: whoever opens with the keys at hand asks for others then.
fn not_at_hand() -> Error {
    Error::new(ErrorKind::KeyUnavailable).message("a key is not at hand")
}

/// What is to be done with one cell.
enum Change {
    Keep,
    Stamp(Place),
    /// The plaintext is the next of those that were opened.
    Open(Place),
    /// As `Open`, of another system.
    OpenLegacy(Place),
    Accept(SecretBytes),
}

/// Rows with their models, to be opened together.
struct Batch<'a> {
    places: &'a RowPlaces,
    walk: &'a Walk<'a>,
    parts: &'a [Part],
    rules: &'a [ModelRules<'a>],
}

/// What is to be done with the values of a batch.
struct Decided<'a> {
    /// for each slot
    changes: Vec<Change>,
    to_open: Vec<OpenItem<'a>>,
    legacy_to_open: Vec<LegacyOpen<'a>>,
    /// how many stored plaintexts are accepted
    accepted: usize,
}

impl Decided<'_> {
    fn of(slots: usize) -> Self {
        Self {
            changes: Vec::with_capacity(slots),
            to_open: Vec::with_capacity(slots),
            legacy_to_open: Vec::new(),
            accepted: 0,
        }
    }
}

impl Cryptor {
    /// Opens the values of models in place. If one value can't be opened, that is the result, and
    /// rows that could be opened are.
    ///
    /// # Errors
    /// The first error of [`Cryptor::open_each`].
    pub async fn open<R: PiiRow>(&self, models: &mut [R]) -> Result<()> {
        self.open_each(models, &FieldSelection::All).await?.into_iter().collect()
    }

    /// Opens chosen fields of models in place, and says for each model what became of it. Rows of several
    /// models, such as `(Customer, Option<Order>)`, are opened in one batch too; there a field is named with
    /// its model, as in `customer.email`.
    ///
    /// # Errors
    /// The outer error is for what has nothing to do with single rows: an unknown field name, a
    /// field or cryptor in WriteOnly mode, an audit sink that fails. Then nothing was changed.
    pub async fn open_each<R: PiiRow>(&self, models: &mut [R], fields: &FieldSelection) -> Result<Opening> {
        self.open_rows(models, fields, Keys::AskedFor).await
    }

    /// As [`Cryptor::open_each`], if nothing has to be waited for: all keys are at hand, no value is of another
    /// system, no audit sink is told. If not, nothing was changed; nor is it where [`Cryptor::open_each`] would
    /// give its outer error.
    pub fn open_at_hand<R: PiiRow>(&self, models: &mut [R], fields: &FieldSelection) -> Option<Opening> {
        if self.is_audited() {
            return None;
        }
        self.open_rows(models, fields, Keys::AtHand).now_or_never()?.ok()
    }

    pub(super) async fn open_rows<R: PiiRow>(
        &self,
        models: &mut [R],
        fields: &FieldSelection,
        keys: Keys,
    ) -> Result<Opening> {
        let scope = self.usable_scope()?;
        let rules = match self.model_rules::<R>(fields) {
            Ok(rules) => rules,
            Err((model, error)) => {
                self.record_refusal(Operation::Open, model, &error).await?;
                return Err(error);
            }
        };
        let Rows { places, walk, parts, mut failed, mut events, .. } = Rows::of(self, scope, models);
        let batch = Batch { places: &places, walk: &walk, parts: &parts, rules: &rules };
        let mut decided = Decided::of(walk.slots().len());
        self.decide(&batch, &mut decided, &mut failed, &mut events);
        let Decided { mut changes, to_open, legacy_to_open, accepted } = decided;
        if !legacy_to_open.is_empty() {
            keys.may_be_asked_for()?;
        }
        let (mut opened, mut legacy_opened) = (Vec::new(), Vec::new());
        if !to_open.is_empty() {
            opened = self.open_items(&to_open, keys, &mut events).await?;
            let is_asked = |change: &Change| matches!(change, Change::Open(_));
            let places = to_open.iter().map(|item| &item.place);
            settle(&opened, places, &mut changes, is_asked, &parts, &mut failed);
        }
        if !legacy_to_open.is_empty() {
            legacy_opened = self.open_legacy(&legacy_to_open).await;
            for (result, item) in legacy_opened.iter().zip(&legacy_to_open) {
                let refused = result.as_ref().err().map(Error::kind);
                self.note_event(&mut events, Operation::OpenLegacy, &item.place, None, refused);
            }
            let is_asked = |change: &Change| matches!(change, Change::OpenLegacy(_));
            let places = legacy_to_open.iter().map(|item| &item.place);
            settle(&legacy_opened, places, &mut changes, is_asked, &parts, &mut failed);
        }
        self.counters.plaintexts_accepted(accepted);
        self.record(events).await?;
        apply(models, &parts, changes, Plaintexts::of(opened, legacy_opened), &failed);
        Ok(failed.into_iter().map(|failed| failed.map_or(Ok(()), Err)).collect())
    }

    /// Decides what to do with each value. No part of the future that waits for keys: its variables
    /// would be memory, and this runs for every value.
    fn decide<'a>(
        &'a self,
        batch: &Batch<'a>,
        decided: &mut Decided<'a>,
        failed: &mut [Option<Error>],
        events: &mut Vec<AuditEvent>,
    ) {
        let Batch { places, walk, parts, rules } = *batch;
        let mut stamps = Stamps::default();
        for part in parts {
            let Some(ModelRules { rules, fields }) = rules.get(part.model) else { continue };
            let slots = walk.slots().get(part.slots.clone()).unwrap_or_default();
            for found in slots {
                let place = places.place(part.place, walk, found);
                let mut fail = |error| fail(failed, part.row, error);
                let change = match place {
                    Some(place) => match found.cell {
                        Cell::Plain(_) | Cell::Opened { .. } => Change::Keep,
                        Cell::Sealed { text, .. } | Cell::Foreign(text) => {
                            let here = stamps.of(&place);
                            if found.cell.is_from_elsewhere(here) {
                                // it keeps the place that it was loaded from: opening is no way to move it
                                let error = wrong_place();
                                self.note_event(
                                    events,
                                    Operation::Open,
                                    &place,
                                    Some(text),
                                    Some(error.kind()),
                                );
                                fail(place.locate(error));
                                Change::Keep
                            } else if text.is_foreign() {
                                match rules.legacy_form(&place, text) {
                                    Ok(codec) => {
                                        if fields.wants(walk, found) && place.field().mode().can_open() {
                                            decided.legacy_to_open.push(LegacyOpen { place, text, codec });
                                            Change::OpenLegacy(here)
                                        } else {
                                            Change::Stamp(here)
                                        }
                                    }
                                    Err(error) => {
                                        let operation = match place.field().legacy() {
                                            Some(_) => Operation::OpenLegacy,
                                            None => Operation::Open,
                                        };
                                        let refused = Some(error.kind());
                                        self.note_event(events, operation, &place, None, refused);
                                        fail(place.locate(error));
                                        Change::Keep
                                    }
                                }
                            } else if fields.wants(walk, found) && place.field().mode().can_open() {
                                decided.to_open.push(OpenItem { place, text });
                                Change::Open(here)
                            } else {
                                Change::Stamp(here)
                            }
                        }
                        Cell::Legacy(text) if rules.plaintext(&place) != PlaintextPolicy::Reject => {
                            let accepted = found.ops.accepted(text);
                            let refused = accepted.as_ref().err().map(Error::kind);
                            self.note_event(events, Operation::AcceptPlaintext, &place, None, refused);
                            match accepted {
                                Ok(plain) => {
                                    decided.accepted += 1;
                                    Change::Accept(plain)
                                }
                                Err(error) => {
                                    fail(place.locate(error));
                                    Change::Keep
                                }
                            }
                        }
                        Cell::Legacy(_) => {
                            self.note_event(
                                events,
                                Operation::Open,
                                &place,
                                None,
                                Some(ErrorKind::NotEncrypted),
                            );
                            fail(place.locate(not_encrypted()));
                            Change::Keep
                        }
                        Cell::Malformed(error) => {
                            let error = Error::from(*error);
                            self.note_event(events, Operation::Open, &place, None, Some(error.kind()));
                            fail(place.locate(error));
                            Change::Keep
                        }
                    },
                    None => Change::Keep,
                };
                decided.changes.push(change);
            }
        }
    }

    /// Refuses what this cryptor was limited not to do.
    pub(super) fn check_opening(&self, model: &ModelSpec, fields: &FieldSelection) -> Result<()> {
        if *fields == FieldSelection::Nothing || self.mode.can_open() {
            return Ok(());
        }
        Err(cannot_decrypt().model(model.name()).help("this cryptor was limited to writing"))
    }

    /// Opens values and notes an event for each. What opened is of its type.
    pub(super) async fn open_items(
        &self,
        items: &[OpenItem<'_>],
        keys: Keys,
        events: &mut Vec<AuditEvent>,
    ) -> Result<Vec<Result<SecretBytes>>> {
        let mut results = self.open_unpadded(items, keys).await?;
        for (result, item) in results.iter_mut().zip(items) {
            if result.as_ref().is_ok_and(|plain| !item.place.is_of_its_type(plain.expose())) {
                *result = Err(wrong_type(item.place.type_code()));
            }
            let refused = result.as_ref().err().map(Error::kind);
            self.note_event(events, Operation::Open, &item.place, Some(item.text), refused);
        }
        Ok(results)
    }

    /// Opens values, and takes off what pads them. Where a field says so, its values may be
    /// from before it was padded.
    pub(super) async fn open_unpadded(
        &self,
        items: &[OpenItem<'_>],
        keys: Keys,
    ) -> Result<Vec<Result<SecretBytes>>> {
        let mut results = self.open_all(items, keys).await?;
        let mut again = Vec::new();
        for ((index, result), item) in results.iter_mut().enumerate().zip(items) {
            if item.place.bucket().is_none() {
                continue;
            }
            match result {
                Ok(bytes) => {
                    *result = unpadded(bytes).ok_or_else(|| wrong_type(item.place.type_code()));
                }
                Err(error) if error.kind() == ErrorKind::Integrity && item.place.field().was_unpadded() => {
                    again.push((index, OpenItem { place: item.place.without_padding(), text: item.text }));
                }
                Err(_) => {}
            }
        }
        if !again.is_empty() {
            let items: Vec<_> = again.iter().map(|(_, item)| *item).collect();
            for (opened, (index, _)) in self.open_all(&items, keys).await?.into_iter().zip(&again) {
                if let (Ok(plain), Some(result)) = (opened, results.get_mut(*index)) {
                    *result = Ok(plain);
                }
            }
        }
        Ok(results)
    }

    async fn open_all(&self, items: &[OpenItem<'_>], keys: Keys) -> Result<Vec<Result<SecretBytes>>> {
        let results = match keys {
            Keys::AskedFor => self.backend.open(items).await?,
            Keys::AtHand => self.backend.open_at_hand(items).ok_or_else(not_at_hand)?,
        };
        if results.len() != items.len() {
            return Err(Error::new(ErrorKind::Configuration).message("the cryptor opened too few values"));
        }
        Ok(results)
    }

    #[inline]
    fn note_event(
        &self,
        events: &mut Vec<AuditEvent>,
        operation: Operation,
        place: &ValuePlace<'_>,
        text: Option<&Ciphertext>,
        refused: Option<ErrorKind>,
    ) {
        if self.is_audited() {
            events.push(self.event(operation, place, text.map(Ciphertext::key_id), refused));
        }
    }
}

/// Notes what did not open, of the values that were asked for.
fn settle<'a, 'p: 'a>(
    results: &[Result<SecretBytes>],
    places: impl Iterator<Item = &'a ValuePlace<'p>>,
    changes: &mut [Change],
    is_asked: impl Fn(&Change) -> bool,
    parts: &[Part],
    failed: &mut [Option<Error>],
) {
    if results.iter().all(Result::is_ok) {
        return;
    }
    let asked = changes.iter_mut().enumerate().filter(|(_, change)| is_asked(change));
    for ((result, place), (slot, change)) in results.iter().zip(places).zip(asked) {
        let Err(error) = result else { continue };
        // a value that does not open here was not loaded from here
        *change = Change::Keep;
        let part = parts.partition_point(|part| part.slots.end <= slot);
        if let Some(part) = parts.get(part) {
            fail(failed, part.row, place.locate(error.clone()));
        }
    }
}

/// What was opened, in order.
struct Plaintexts<O, L> {
    opened: O,
    legacy: L,
}

impl Plaintexts<(), ()> {
    fn of(
        opened: Vec<Result<SecretBytes>>,
        legacy: Vec<Result<SecretBytes>>,
    ) -> Plaintexts<impl Iterator<Item = SecretBytes>, impl Iterator<Item = SecretBytes>> {
        // what did not open is changed no more
        Plaintexts { opened: opened.into_iter().flatten(), legacy: legacy.into_iter().flatten() }
    }
}

/// Changes the values of the rows.
fn apply<R: PiiRow>(
    models: &mut [R],
    parts: &[Part],
    changes: Vec<Change>,
    mut plaintexts: Plaintexts<impl Iterator<Item = SecretBytes>, impl Iterator<Item = SecretBytes>>,
    failed: &[Option<Error>],
) {
    let cells = Placed::of(models, parts, changes.len());
    let mut changes = cells.cells.into_iter().zip(changes);
    for part in parts {
        let row_is_good = failed.get(part.row).is_some_and(Option::is_none);
        for (cell, change) in changes.by_ref().take(part.slots.len()) {
            match change {
                Change::Open(place) => add(cell, place, plaintexts.opened.next(), row_is_good),
                Change::OpenLegacy(place) => add(cell, place, plaintexts.legacy.next(), row_is_good),
                Change::Stamp(place) => cell.stamp(place),
                Change::Accept(plain) if row_is_good => cell.accept_legacy(plain),
                Change::Accept(_) | Change::Keep => {}
            }
        }
    }
}

/// Values of a row that failed get their place, so that they can be saved unchanged, and no plaintext.
#[inline]
fn add(cell: &mut Cell, place: Place, plain: Option<SecretBytes>, row_is_good: bool) {
    match plain.filter(|_| row_is_good) {
        Some(plain) => cell.open(place, plain),
        None => cell.stamp(place),
    }
}

/// Notes what went wrong first in a row.
#[cold]
fn fail(failed: &mut [Option<Error>], row: usize, error: Error) {
    if let Some(failed) = failed.get_mut(row) {
        failed.get_or_insert(error);
    }
}

pub(super) fn cannot_decrypt() -> Error {
    Error::new(ErrorKind::Mode).message("Cannot decrypt in WriteOnly mode")
}

//! From models to the texts that are stored.

use std::ops::Range;

use super::{
    Cryptor, FieldSelection,
    backend::{OpenItem, SealItem},
    indexing::{IndexBatch, Written},
    legacy::{LegacyOpen, LegacySeal},
    open::Keys,
    place::RowPlaces,
    plan::{Plan, Planned},
    sealed_texts::{SealedTexts, StoredText},
    texts::Texts,
};
use crate::{
    audit::{AuditEvent, Operation},
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    model::{ModelSpec, PiiModel, Walk, WalkMut},
    value::Sealed,
    wire::Ciphertext,
};

/// The models of a batch with their places and values. Made without an await, so that the caller's
/// iterator need not be `Send`.
pub(super) struct Visited<'a> {
    pub(super) places: RowPlaces,
    pub(super) walk: Walk<'a>,
    /// for each model its place and its slots, or why it has none
    pub(super) rows: Result<Vec<(usize, Range<usize>)>>,
}

impl<'a> Visited<'a> {
    pub(super) fn of<M: PiiModel + 'a>(
        models: impl IntoIterator<Item = &'a M>,
        scope: Option<&EncryptionContext>,
    ) -> Self {
        let models = models.into_iter();
        let expected = models.size_hint().0;
        // it lives longest: memory that is given back earlier is one block, with room for the texts
        let mut rows = Vec::with_capacity(expected);
        let mut places = RowPlaces::with_capacity(expected);
        let mut walk = Walk::for_models(&[M::MODEL], expected);
        for model in models {
            let place = match places.add(model, scope) {
                Ok(place) => place,
                Err(error) => return Self { places, walk, rows: Err(error) },
            };
            let start = walk.slots().len();
            model.visit(&mut walk);
            rows.push((place, start..walk.slots().len()));
        }
        Self { places, walk, rows: Ok(rows) }
    }
}

impl Cryptor {
    /// The texts under which the values of these models will be stored, one list per model. The
    /// models stay as they are. All or nothing: one refused value refuses the batch.
    ///
    /// # Errors
    /// [`ErrorKind::Mode`], [`ErrorKind::WrongPlace`], [`ErrorKind::ContextMismatch`],
    /// [`ErrorKind::InvalidContext`], [`ErrorKind::TooLarge`], [`ErrorKind::NotEncrypted`],
    /// [`ErrorKind::Malformed`], [`ErrorKind::Integrity`] and all key errors.
    pub async fn seal_texts<'a, M, I>(&self, models: I) -> Result<Vec<SealedTexts>>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        self.seal_chosen(models, &FieldSelection::All, Written::Row).await
    }

    /// As [`Cryptor::seal_texts`], for rows that are there and get new values: the blind index of a value
    /// that is written back unopened [stays as it is](super::IndexText::Unchanged).
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`].
    pub async fn seal_changes<'a, M, I>(&self, models: I) -> Result<Vec<SealedTexts>>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        self.seal_chosen(models, &FieldSelection::All, Written::Changes).await
    }

    /// The texts of the values in chosen fields alone.
    async fn seal_chosen<'a, M, I>(
        &self,
        models: I,
        fields: &FieldSelection,
        written: Written,
    ) -> Result<Vec<SealedTexts>>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        let scope = self.usable_scope()?;
        self.seal_visited(M::MODEL, Visited::of(models, scope), fields, written).await
    }

    /// As [`Cryptor::seal_texts`].
    pub(super) async fn seal_visited(
        &self,
        model: &'static ModelSpec,
        visited: Visited<'_>,
        fields: &FieldSelection,
        written: Written,
    ) -> Result<Vec<SealedTexts>> {
        let Visited { places, walk, rows } = visited;
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                self.record_refusal(Operation::Seal, model, &error).await?;
                return Err(error);
            }
        };
        let rules = match self.rules(model) {
            Ok(rules) => rules,
            Err(error) => {
                self.record_refusal(Operation::Seal, model, &error).await?;
                return Err(error);
            }
        };
        let mut planned = Planned::default();
        if let Err(error) = self.plan_rows(&rules, &places, &walk, &rows, fields, &mut planned) {
            self.record(planned.events).await?;
            return Err(error);
        }
        let Planned { mut to_seal, to_verify, legacy_to_seal, legacy_to_verify, others, .. } = planned;
        let mut events = planned.events;
        for (item, other) in planned.in_others {
            if let (Some(item), Some((_, Plan::SealOther(bytes)))) =
                (to_seal.get_mut(item), others.get(other))
            {
                item.plaintext = bytes.expose();
            }
        }
        self.verify(&to_verify, &mut events).await?;
        self.verify_legacy(&legacy_to_verify, &mut events).await?;
        let indexes = match (model.indexes(), written) {
            ([], _) | (_, Written::Values) => Vec::new(),
            _ => {
                let batch = IndexBatch { model, places: &places, walk: &walk, rows: &rows };
                let indexes = self.index_rows(&batch, written, fields, &mut events).await;
                if indexes.is_err() {
                    self.record(std::mem::take(&mut events)).await?;
                }
                indexes?
            }
        };
        let sealed_legacy = self.seal_legacy_audited(&legacy_to_seal, &mut events).await?;
        let sealed = if to_seal.is_empty() {
            self.record(events).await?;
            Vec::new()
        } else {
            let sealed = self.backend.seal(&to_seal).await;
            self.audit_sealed(&to_seal, &sealed, events).await?;
            sealed?
        };
        if sealed.len() != to_seal.len() {
            return Err(too_few());
        }
        let chosen = |(_, slots): (_, Range<usize>)| {
            let slots = walk.slots().get(slots).unwrap_or_default();
            slots.iter().filter(|slot| fields.wants(&walk, slot)).count()
        };
        let counts: Vec<usize> = rows.into_iter().map(chosen).collect();
        // the texts may take their memory
        drop((to_seal, to_verify, legacy_to_seal, legacy_to_verify));
        drop((walk, places));
        let mut texts = stored_texts(&counts, others, sealed, sealed_legacy)?;
        for (texts, indexes) in texts.iter_mut().zip(indexes) {
            texts.indexes = indexes.into();
        }
        Ok(texts)
    }

    /// Opens values of unknown origin, which are to be written back as they are.
    pub(super) async fn verify(&self, items: &[OpenItem<'_>], events: &mut Vec<AuditEvent>) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let opened = self.open_unpadded(items, Keys::AskedFor).await?;
        for (result, item) in opened.into_iter().zip(items) {
            if let Err(error) = result {
                if self.is_audited() {
                    events.push(self.event(Operation::Seal, &item.place, None, Some(error.kind())));
                    self.record(std::mem::take(events)).await?;
                }
                return Err(item.place.locate(error));
            }
        }
        Ok(())
    }

    /// A view of the model that serialises as it will be stored.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`].
    pub async fn sealed<'a, M: PiiModel>(&self, model: &'a M) -> Result<Sealed<'a, M>> {
        self.sealed_each([model]).await?.pop().ok_or_else(too_few)
    }

    /// As [`Cryptor::sealed`], for a row that is there and gets new values: the blind index of a value that is
    /// written back unopened [stays as it is](super::IndexText::Unchanged).
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`].
    pub async fn sealed_changes<'a, M: PiiModel>(&self, model: &'a M) -> Result<Sealed<'a, M>> {
        let texts = self.seal_changes([model]).await?.pop().ok_or_else(too_few)?;
        Ok(Sealed::new(model, texts))
    }

    /// Views of the models that serialise as they will be stored, in the same order; one batch.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`].
    pub async fn sealed_each<'a, M, I>(&self, models: I) -> Result<Vec<Sealed<'a, M>>>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        let models: Vec<&M> = models.into_iter().collect();
        let texts = self.seal_texts(models.iter().copied()).await?;
        Ok(models.into_iter().zip(texts).map(|(model, texts)| Sealed::new(model, texts)).collect())
    }

    /// A view of the model for those who write single fields: chosen ones serialise as they will be
    /// stored, and other sealed fields as nothing (`null`), whatever they hold. It must not be stored whole.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`], for the chosen fields; [`ErrorKind::Configuration`] for an unknown one.
    pub async fn sealed_fields<'a, M: PiiModel>(
        &self,
        model: &'a M,
        fields: &FieldSelection,
    ) -> Result<Sealed<'a, M>> {
        fields.named(M::MODEL)?;
        let texts = self.seal_chosen([model], fields, Written::Changes).await?.pop().ok_or_else(too_few)?;
        Ok(Sealed::of_fields(model, fields, texts))
    }

    /// Seals the values of models in place: for databases that this library has no adapter for.
    /// Afterwards every value is sealed; plaintext that was known stays known.
    ///
    /// A field whose policy is `prepare` can't be sealed in place: it is refused.
    ///
    /// It gives no codes of blind indexes, which have no place in the model: write those of
    /// [`index_entries`](Cryptor::index_entries) into the columns of the same row, or no search finds it. An
    /// adapter's table does that by itself.
    ///
    /// # Errors
    /// As [`Cryptor::seal_texts`]; the models are unchanged then.
    pub async fn seal<M: PiiModel>(&self, models: &mut [M]) -> Result<()> {
        let rows = self.seal_chosen(models.iter(), &FieldSelection::All, Written::Values).await?;
        if !rows.iter().all(|row| row.are_sealed()) {
            return Err(Error::new(ErrorKind::State)
                .model(M::MODEL.name())
                .message(
                    "a field with the policy `prepare` is stored as plaintext, which `seal` cannot express",
                )
                .help("use a table of this library, or the policy `accept_and_seal`"));
        }
        let mut places = RowPlaces::default();
        let scope = self.usable_scope()?;
        for (model, texts) in models.iter_mut().zip(rows) {
            let row = places.add(model, scope)?;
            let stamps: Vec<_> = {
                let mut walk = Walk::default();
                model.visit(&mut walk);
                walk.slots()
                    .iter()
                    .map(|slot| places.place(row, &walk, slot).map(|place| place.stamp()))
                    .collect()
            };
            let mut walk = WalkMut::default();
            model.visit_mut(&mut walk);
            for ((cell, text), stamp) in walk.cells.into_iter().zip(texts).zip(stamps) {
                if let StoredText::Sealed(text) = text {
                    cell.seal(stamp, text);
                }
            }
        }
        Ok(())
    }

    /// As [`Cryptor::verify`], for values of other systems.
    async fn verify_legacy(&self, items: &[LegacyOpen<'_>], events: &mut Vec<AuditEvent>) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        for (result, item) in self.open_legacy(items).await.into_iter().zip(items) {
            if let Err(error) = result {
                if self.is_audited() {
                    events.push(self.event(Operation::SealLegacy, &item.place, None, Some(error.kind())));
                    self.record(std::mem::take(events)).await?;
                }
                return Err(item.place.locate(error));
            }
        }
        Ok(())
    }

    async fn seal_legacy_audited(
        &self,
        items: &[LegacySeal<'_>],
        events: &mut Vec<AuditEvent>,
    ) -> Result<Vec<Ciphertext>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let sealed = self.seal_legacy(items).await;
        let refused = sealed.as_ref().err().map(Error::kind);
        if self.is_audited() {
            events.extend(
                items.iter().map(|item| self.event(Operation::SealLegacy, &item.place, None, refused)),
            );
        }
        if sealed.is_err() {
            self.record(std::mem::take(events)).await?;
        }
        sealed
    }

    async fn audit_sealed(
        &self,
        batch: &[SealItem<'_>],
        sealed: &Result<Vec<Ciphertext>>,
        mut events: Vec<AuditEvent>,
    ) -> Result<()> {
        if !self.is_audited() {
            return Ok(());
        }
        for (index, item) in batch.iter().enumerate() {
            let (key, refused) = match sealed {
                Ok(texts) => (texts.get(index).map(Ciphertext::key_id), None),
                Err(error) => (None, Some(error.kind())),
            };
            events.push(self.event(Operation::Seal, &item.place, key, refused));
        }
        self.record(events).await
    }
}

/// The texts of rows with so many chosen values each.
fn stored_texts(
    counts: &[usize],
    others: Vec<(usize, Plan<'_>)>,
    sealed: Vec<Ciphertext>,
    sealed_legacy: Vec<Ciphertext>,
) -> Result<Vec<SealedTexts>> {
    if others.is_empty() {
        return sealed_texts(counts, sealed);
    }
    let (mut sealed, mut sealed_legacy) = (sealed.into_iter(), sealed_legacy.into_iter());
    let mut others = others.into_iter().peekable();
    let mut number = 0;
    let mut texts = Vec::with_capacity(counts.len());
    for &count in counts {
        let mut row = Texts::default();
        for _ in 0..count {
            let is_other = others.peek().is_some_and(|(other, _)| *other == number);
            let plan = if is_other { others.next() } else { None };
            row.push(match plan {
                None | Some((_, Plan::Seal(_) | Plan::SealOther(_))) => {
                    StoredText::Sealed(sealed.next().ok_or_else(too_few)?)
                }
                Some((_, Plan::WriteBack(text) | Plan::WriteBackLegacy(text, _))) => {
                    StoredText::Sealed(text.clone())
                }
                Some((_, Plan::SealLegacy(..))) => {
                    StoredText::Sealed(sealed_legacy.next().ok_or_else(too_few)?)
                }
                Some((_, Plan::Plaintext(text))) => StoredText::Plaintext(text),
            });
            number += 1;
        }
        texts.push(SealedTexts::of(row));
    }
    Ok(texts)
}

/// As [`stored_texts`], where all were simply sealed.
fn sealed_texts(counts: &[usize], sealed: Vec<Ciphertext>) -> Result<Vec<SealedTexts>> {
    if counts.iter().sum::<usize>() != sealed.len() {
        return Err(too_few());
    }
    let mut sealed = sealed.into_iter();
    Ok(counts.iter().map(|count| SealedTexts::of(Texts::of_sealed(&mut sealed, *count))).collect())
}

#[cold]
pub(super) fn not_encrypted() -> Error {
    Error::new(ErrorKind::NotEncrypted).help(
        "if plaintext is expected while a table is being moved, write `#[pii(plaintext = \"accept_and_seal\")]` on \
         the field; otherwise someone wrote to the table without this library",
    )
}

#[cold]
pub(super) fn wrong_place() -> Error {
    Error::new(ErrorKind::WrongPlace)
        .message("the row's id, the model or the encryption context changed since the value was loaded")
        .help("open the value with `.decrypt_pii()`, call `reseal()` on it and save again")
}

#[cold]
pub(super) fn too_few() -> Error {
    Error::new(ErrorKind::Configuration).message("the cryptor's backend gave too few results")
}

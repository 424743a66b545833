//! Keys that are asked for ahead of their use.

use std::{collections::HashSet, sync::Arc};

use super::{
    Cryptor,
    backend::OpenItem,
    place::{RowPlaces, ValuePlace},
    seal::{Visited, too_few},
};
use crate::{
    context::EncryptionContext,
    error::{Error, Result},
    model::{Level, PiiModel, PlaintextPolicy, Walk},
    value::Cell,
    wire::{Ciphertext, KeyId},
};

impl Cryptor {
    /// Asks for the keys that sealing these models will need, and seals nothing: for work in chunks,
    /// which should not wait for keys while it holds a connection. Where every value of a context is sealed
    /// already, no key of it is needed. Of the sealed values of unknown
    /// origin, which are verified before they are written back, the first one of each key is
    /// verified here. The keys stay within the limits of the cache.
    ///
    /// # Errors
    /// Errors of the context, the scope and the keys, and those of a value that does not open.
    pub async fn prepare<'a, M, I>(&self, models: I) -> Result<()>
    where
        M: PiiModel + 'a,
        I: IntoIterator<Item = &'a M>,
    {
        let scope = self.usable_scope()?;
        let rules = self.rules(M::MODEL)?;
        let mut places = RowPlaces::default();
        let mut to_verify = Samples::default();
        let mut to_seal = ToSeal::default();
        for model in models {
            let row = places.add(model, scope)?;
            to_seal.add(model, places.context_index(row));
            if self.mode.can_open() {
                to_verify.add(model, &places, row);
            }
            // only the contexts count from here on, and there may be very many rows
            places.forget_rows();
        }
        self.verify_samples(to_verify, scope).await?;
        if !self.mode.can_seal() {
            // nothing new can be sealed, so no key is needed
            return Ok(());
        }
        places.keep_contexts(&to_seal.contexts);
        if places.contexts().is_empty() {
            // sealed values that are written back need no key
            return Ok(());
        }
        let fields = M::pii_fields();
        if let Some(field) = fields.iter().find(|field| field.spec.level() == Level::Three) {
            let located = |error: Error| error.field(M::MODEL.name(), &field.path);
            self.backend.prepare_app_keys().await.map_err(located)?;
        }
        let mut keyrings: Vec<Option<&'static str>> = fields
            .iter()
            .filter(|field| {
                let is_it = |path: &str| path == field.path;
                let is_plain = rules.plaintext_of(field.spec, is_it) == PlaintextPolicy::Prepare;
                field.spec.is_sealed() && !is_plain && !rules.writes_legacy(field.spec, is_it)
            })
            .map(|field| field.spec.keyring())
            .collect();
        keyrings.sort_unstable();
        keyrings.dedup();
        let located = |error: Error| error.model(M::MODEL.name());
        self.backend.prepare(places.contexts(), &keyrings).await.map_err(located)?;
        self.prepare_indexes(M::MODEL, places.contexts()).await
    }

    async fn verify_samples<M: PiiModel>(
        &self,
        samples: Samples<'_, M>,
        scope: Option<&EncryptionContext>,
    ) -> Result<()> {
        if samples.models.is_empty() {
            return Ok(());
        }
        let Visited { places, walk, rows } = Visited::of(samples.models, scope);
        let mut seen = HashSet::new();
        let mut items = Vec::new();
        for (row, slots) in &rows? {
            for slot in walk.slots().get(slots.clone()).unwrap_or_default() {
                let place = places.place(*row, &walk, slot).ok_or_else(too_few)?;
                if let Some(text) = slot.cell.of_unknown_origin()
                    && place.field().mode().can_open()
                    && seen.insert(KeyUse::of(&place, text))
                {
                    items.push(OpenItem { place, text });
                }
            }
        }
        self.verify(&items, &mut Vec::new()).await
    }
}

/// Models that together have a value of unknown origin for every key that verifying needs.
struct Samples<'a, M> {
    models: Vec<&'a M>,
    seen: HashSet<KeyUse>,
    walk: Walk<'a>,
}

impl<M> Default for Samples<'_, M> {
    fn default() -> Self {
        Self { models: Vec::new(), seen: HashSet::new(), walk: Walk::default() }
    }
}

impl<'a, M: PiiModel> Samples<'a, M> {
    /// Keeps the model, which has this place, if it needs another key than those before.
    fn add(&mut self, model: &'a M, places: &RowPlaces, row: usize) {
        self.walk.clear();
        model.visit(&mut self.walk);
        let mut is_new = false;
        for slot in self.walk.slots() {
            if let (Some(text), Some(place)) =
                (slot.cell.of_unknown_origin(), places.place(row, &self.walk, slot))
            {
                is_new |= self.seen.insert(KeyUse::of(&place, text));
            }
        }
        if is_new {
            self.models.push(model);
        }
    }
}

/// The contexts in which something is to be sealed, by their index.
#[derive(Default)]
struct ToSeal<'a> {
    contexts: HashSet<usize>,
    walk: Walk<'a>,
}

impl<'a> ToSeal<'a> {
    /// Adds the context of the model, if the model has a value that is not sealed yet.
    fn add<M: PiiModel>(&mut self, model: &'a M, context: Option<usize>) {
        let Some(context) = context.filter(|context| !self.contexts.contains(context)) else { return };
        self.walk.clear();
        model.visit(&mut self.walk);
        if self.walk.slots().iter().any(|slot| matches!(slot.cell, Cell::Plain(_) | Cell::Legacy(_))) {
            self.contexts.insert(context);
        }
    }
}

/// What opening a value asks keyrings and sources of keys for.
#[derive(PartialEq, Eq, Hash)]
struct KeyUse {
    context: Arc<EncryptionContext>,
    key_id: KeyId,
    keyring: Option<&'static str>,
    level: Level,
}

impl KeyUse {
    fn of(place: &ValuePlace<'_>, text: &Ciphertext) -> Self {
        let field = place.field();
        Self {
            context: Arc::clone(place.context()),
            key_id: text.key_id(),
            keyring: field.keyring(),
            level: field.level(),
        }
    }
}

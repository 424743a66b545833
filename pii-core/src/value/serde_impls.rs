//! serde: sealed text in both directions, and a view that serialises a borrowed model as it will be stored.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, sync::Arc};

use foldhash::quality::RandomState;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{cell::Cell, encrypted::Encrypted, shown};
use crate::{
    cryptor::{FieldSelection, IndexEntry, SealedTexts, StoredText},
    model::{FieldSpec, PathStep, PiiField, PiiModel, Slot, Walk},
};

thread_local! {
    /// The texts of the values that are being serialised.
    static SCOPE: RefCell<Option<Arc<Texts>>> = const { RefCell::new(None) };
}

/// The texts of values, by the address of the value's state.
struct Texts {
    by_address: HashMap<usize, StoredText, RandomState>,
    /// whether values without a text are left out, and not refused
    leaves_others_out: bool,
}

pub(super) fn address(cell: &Cell) -> usize {
    std::ptr::from_ref(cell).addr()
}

/// Whether a model is being written to be stored.
pub(super) fn is_sealing() -> bool {
    SCOPE.with_borrow(Option::is_some)
}

impl<T> Serialize for Encrypted<T> {
    /// The sealed text; a plain value is refused, except inside [`Sealed`], and inside what shows
    /// values: [`Revealed`](crate::Revealed) and [`Masked`](crate::Masked).
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let serializer = match shown::serialize(self.cell(), serializer) {
            Ok(shown) => return shown,
            Err(serializer) => serializer,
        };
        let scope = SCOPE.with_borrow(Clone::clone);
        match scope.as_ref().and_then(|scope| scope.by_address.get(&address(self.cell()))) {
            Some(text) => serializer.serialize_str(text.as_str()),
            None if scope.as_ref().is_some_and(|scope| scope.leaves_others_out) => {
                serializer.serialize_unit()
            }
            None => serializer.serialize_str(self.stored_text().map_err(ser::Error::custom)?.as_str()),
        }
    }
}

impl<'de, T> Deserialize<'de> for Encrypted<T> {
    /// Text as it is stored: sealed text, or legacy text that nothing accepts before a policy does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)
            .map_err(|_| de::Error::custom("a sealed field must be stored as text"))?;
        Ok(Self::from_stored(text))
    }
}

/// A model with the texts under which its values will be stored. It serialises like the model
/// itself, with the texts in place of the values; the model is neither cloned nor changed.
///
/// Made by [`Cryptor::sealed`](crate::Cryptor::sealed).
pub struct Sealed<'a, M> {
    model: &'a M,
    scope: SealedScope,
    indexes: Vec<IndexEntry>,
}

impl<'a, M: PiiModel> Sealed<'a, M> {
    pub(crate) fn new(model: &'a M, texts: SealedTexts) -> Self {
        let mut walk = Walk::default();
        model.visit(&mut walk);
        let indexes = texts.indexes().to_vec();
        Self { model, scope: SealedScope::new(walk.slots().iter(), texts, false), indexes }
    }

    /// With the texts of chosen fields alone; the others are left out.
    pub(crate) fn of_fields(model: &'a M, fields: &FieldSelection, texts: SealedTexts) -> Self {
        let mut walk = Walk::default();
        model.visit(&mut walk);
        let chosen = walk.slots().iter().filter(|slot| fields.wants(&walk, slot));
        let indexes = texts.indexes().to_vec();
        Self { model, scope: SealedScope::new(chosen, texts, true), indexes }
    }

    /// What is stored for the blind indexes, beside the model's own fields.
    #[must_use]
    pub fn indexes(&self) -> &[IndexEntry] {
        &self.indexes
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a M {
        self.model
    }

    /// The model's fields, each once, that have a text here: what an adapter must find where it stores
    /// them, as serde may rename or leave out fields.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static FieldSpec> {
        let mut walk = Walk::default();
        self.model.visit(&mut walk);
        let mut fields: Vec<&'static FieldSpec> = Vec::new();
        let stored = |slot: &&Slot<'_>| self.scope.0.by_address.contains_key(&address(slot.cell));
        for slot in walk.slots().iter().filter(stored) {
            if let Some(PathStep::Field(field)) = walk.path(slot).first()
                && fields.last().is_none_or(|last| !std::ptr::eq(*last, field))
            {
                fields.push(field);
            }
        }
        fields
    }
}

impl<M: Serialize> Serialize for Sealed<'_, M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.scope.during(|| self.model.serialize(serializer))
    }
}

/// A field with the texts under which its values will be stored. It serialises like the field
/// itself, with the texts in place of the values.
///
/// Made by [`SealedTexts::field`].
pub struct SealedField<'a, F> {
    field: &'a F,
    scope: SealedScope,
}

impl<'a, F: PiiField> SealedField<'a, F> {
    pub(crate) fn new(field: &'a F, walk: &Walk<'_>, texts: impl Iterator<Item = StoredText>) -> Self {
        Self { field, scope: SealedScope::new(walk.slots().iter(), texts, false) }
    }
}

impl<F: Serialize> Serialize for SealedField<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.scope.during(|| self.field.serialize(serializer))
    }
}

/// The texts of the values of one model or field.
struct SealedScope(Arc<Texts>);

impl SealedScope {
    fn new<'s, 'w: 's>(
        slots: impl Iterator<Item = &'s Slot<'w>>,
        texts: impl Iterator<Item = StoredText>,
        leaves_others_out: bool,
    ) -> Self {
        let by_address = slots.map(|slot| address(slot.cell)).zip(texts).collect();
        Self(Arc::new(Texts { by_address, leaves_others_out }))
    }

    /// Serialises with the texts in place; the scope before is put back, also when `f` panics.
    fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        struct PutBack(Option<Arc<Texts>>);
        impl Drop for PutBack {
            fn drop(&mut self) {
                SCOPE.set(self.0.take());
            }
        }
        let _put_back = PutBack(SCOPE.replace(Some(Arc::clone(&self.0))));
        f()
    }
}

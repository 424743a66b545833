//! serde: sealed text in both directions, and a view that serialises a borrowed model as it will be stored.

use std::{borrow::Cow, cell::RefCell, collections::HashMap, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{cell::Cell, encrypted::Encrypted};
use crate::{
    cryptor::{SealedTexts, StoredText},
    model::{PiiField, PiiModel, Walk},
};

thread_local! {
    /// The texts of the values that are being serialised, by the address of the value's state.
    static SCOPE: RefCell<Option<Arc<HashMap<usize, StoredText>>>> = const { RefCell::new(None) };
}

fn address(cell: &Cell) -> usize {
    std::ptr::from_ref(cell).addr()
}

impl<T> Serialize for Encrypted<T> {
    /// The sealed text; a plain value is refused, except inside [`Sealed`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scope = SCOPE.with_borrow(Clone::clone);
        match scope.as_ref().and_then(|scope| scope.get(&address(self.cell()))) {
            Some(text) => serializer.serialize_str(text.as_str()),
            None => serializer.serialize_str(self.stored_text().map_err(ser::Error::custom)?.as_str()),
        }
    }
}

impl<'de, T> Deserialize<'de> for Encrypted<T> {
    /// Text as it is stored: sealed text, or legacy text that nothing accepts before a policy does.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)
            .map_err(|_| de::Error::custom("a sealed field must be stored as text"))?;
        Ok(Self::from_stored(text.into_owned()))
    }
}

/// A model with the texts under which its values will be stored. It serialises like the model
/// itself, with the texts in place of the values; the model is neither cloned nor changed.
///
/// Made by [`Cryptor::sealed`](crate::Cryptor::sealed).
pub struct Sealed<'a, M> {
    model: &'a M,
    scope: SealedScope,
}

impl<'a, M: PiiModel> Sealed<'a, M> {
    pub(crate) fn new(model: &'a M, texts: SealedTexts) -> Self {
        let mut walk = Walk::default();
        model.visit(&mut walk);
        Self { model, scope: SealedScope::new(&walk, texts) }
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &'a M {
        self.model
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
        Self { field, scope: SealedScope::new(walk, texts) }
    }
}

impl<F: Serialize> Serialize for SealedField<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.scope.during(|| self.field.serialize(serializer))
    }
}

/// The texts of the values of one model or field, by address.
struct SealedScope(Arc<HashMap<usize, StoredText>>);

impl SealedScope {
    fn new(walk: &Walk<'_>, texts: impl Iterator<Item = StoredText>) -> Self {
        Self(Arc::new(walk.slots().iter().map(|slot| address(slot.cell)).zip(texts).collect()))
    }

    /// Serialises with the texts in place; the scope before is put back, also when `f` panics.
    fn during<R>(&self, f: impl FnOnce() -> R) -> R {
        struct PutBack(Option<Arc<HashMap<usize, StoredText>>>);
        impl Drop for PutBack {
            fn drop(&mut self) {
                SCOPE.set(self.0.take());
            }
        }
        let _put_back = PutBack(SCOPE.replace(Some(Arc::clone(&self.0))));
        f()
    }
}

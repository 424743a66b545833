//! A search by a blind index.

use std::{fmt, marker::PhantomData};

use super::{IndexScope, IndexSpec, normalize};
use crate::{
    context::{ContextValue, ContextWriter, EncryptionContext, SUBJECT},
    error::{Error, ErrorKind, Result},
    model::{PiiModel, TypeCode, Walk},
    secret::SecretBytes,
    value::{Encrypted, PiiValue},
};

/// A value that can be searched for.
#[diagnostic::on_unimplemented(
    message = "a field of the type `Encrypted<{Self}>` cannot have a blind index",
    label = "needs a value that can be told equal to another: text, bytes, a number, a date, an enum",
    note = "of a JSON value, give what is searched for a field of its own"
)]
pub trait IndexedValue: PiiValue {
    /// What a search takes: `str` for text.
    type Term: ?Sized;

    /// The bytes that a value of the field has for this term.
    ///
    /// # Errors
    /// Those of [`PiiValue::encode`].
    fn term(term: &Self::Term) -> Result<SecretBytes>;
}

impl IndexedValue for String {
    type Term = str;

    fn term(term: &str) -> Result<SecretBytes> {
        Ok(SecretBytes::copy_from(term.as_bytes()))
    }
}

/// A field that can have a blind index: one value, or none.
#[diagnostic::on_unimplemented(
    message = "a field of type `{Self}` cannot have a blind index",
    label = "must be `EncryptedStr` or another `Encrypted<T>` whose values can be told equal, or an `Option` of one",
    note = "lists, maps, JSON values and nested structs have no one value to search for"
)]
pub trait IndexedField {
    /// The type of its value.
    type Value: IndexedValue;
}

impl<T: IndexedValue> IndexedField for Encrypted<T> {
    type Value = T;
}

impl<F: IndexedField> IndexedField for Option<F> {
    type Value = F::Value;
}

impl<F: IndexedField> IndexedField for Box<F> {
    type Value = F::Value;
}

/// What a search for a field takes: `str`, if it is text.
pub type IndexTermOf<F> = <<F as IndexedField>::Value as IndexedValue>::Term;

/// A search for rows by a blind index: what `Customer::by_email("acme", "ada@example.com")` gives.
///
/// It holds the value that is searched for, normalised, in wiped memory; Debug does not show it. An
/// error, such as of an empty value, is that of the call which takes the search.
pub struct IndexSearch<M> {
    index: Result<&'static IndexSpec>,
    context: ContextWriter,
    terms: Vec<Result<SecretBytes>>,
    model: PhantomData<fn() -> M>,
}

/// For generated code.
#[doc(hidden)]
impl<M: PiiModel> IndexSearch<M> {
    #[must_use]
    pub fn by(name: &str) -> Self {
        let index = M::MODEL.indexes().iter().find(|index| index.name() == name).ok_or_else(|| {
            Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message(format!("there is no blind index `{name}`"))
        });
        Self { index, context: ContextWriter::default(), terms: Vec::new(), model: PhantomData }
    }

    #[must_use]
    pub fn context<V: ContextValue + ?Sized>(mut self, name: &'static str, value: &V) -> Self {
        self.context.pair(name, value);
        self
    }

    #[must_use]
    pub fn term<F: IndexedField>(mut self, term: &IndexTermOf<F>) -> Self {
        let term = self.normalized::<F>(term);
        self.terms.push(term);
        self
    }

    fn normalized<F: IndexedField>(&self, term: &IndexTermOf<F>) -> Result<SecretBytes> {
        let index = self.index.clone()?;
        let part = index.parts().get(self.terms.len()).ok_or_else(|| too_many(index))?;
        let bytes = F::Value::term(term)?;
        let is_text = F::Value::TYPE == TypeCode::UTF8;
        let located = |error: Error| error.field(M::MODEL.name(), part.field);
        normalize(part.normalizers, is_text, bytes.expose()).map_err(located)?.ok_or_else(|| {
            located(Error::new(ErrorKind::InvalidSearch))
                .message("what is searched for is empty, or nothing is left of it after normalising")
                .help("rows whose value is empty are not indexed: search them by other columns")
        })
    }
}

impl<M: PiiModel> IndexSearch<M> {
    /// The index that is searched.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the model has none of that name.
    pub fn index(&self) -> Result<&'static IndexSpec> {
        self.index.clone()
    }

    /// The same search for a view of the model.
    #[must_use]
    pub fn of_view<V: PiiModel>(self) -> IndexSearch<V> {
        let index = self.index.and_then(|index| {
            let is_view = V::MODEL.is_view() && V::MODEL.name() == M::MODEL.name();
            Some(index).filter(|_| is_view).ok_or_else(|| {
                Error::new(ErrorKind::Configuration)
                    .model(V::MODEL.name())
                    .message(format!("a search of `{}` was given for what is no view of it", M::MODEL.name()))
            })
        });
        IndexSearch { index, context: self.context, terms: self.terms, model: PhantomData }
    }

    /// The normalised values that are searched for.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSearch`] if one is empty; those of values that can't be encoded.
    pub(crate) fn terms(&self) -> Result<Vec<&SecretBytes>> {
        let index = self.index.clone()?;
        if self.terms.len() != index.parts().len() {
            return Err(too_many(index));
        }
        self.terms.iter().map(|term| term.as_ref().map_err(Clone::clone)).collect()
    }

    /// The encryption context whose index key it is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidContext`].
    pub(crate) fn index_context(&self) -> Result<EncryptionContext> {
        let located = |error: Error| error.model(M::MODEL.name());
        match self.index.clone()?.scope() {
            IndexScope::Global => M::MODEL.literal_context().map_err(located),
            IndexScope::Context => {
                self.context.finish().and_then(|context| context.without(SUBJECT)).map_err(located)
            }
        }
    }

    /// Whether a model's values are those that are searched for, or `None` where one of them is not open.
    ///
    /// Codes of few bits are shared by different values: this tells the rows that were found by chance.
    #[must_use]
    pub fn matches(&self, model: &M) -> Option<bool> {
        let (index, terms) = (self.index.clone().ok()?, self.terms().ok()?);
        let mut walk = Walk::default();
        model.visit(&mut walk);
        let mut is_same = true;
        for (part, term) in index.parts().iter().zip(terms) {
            let slot =
                walk.slots().iter().find(|slot| slot.is_plain_field() && slot.field.name() == part.field);
            let Some(slot) = slot else { return Some(false) };
            let plain = slot.cell.plain()?;
            let value = normalize(part.normalizers, slot.ops.code == TypeCode::UTF8, plain.expose()).ok()?;
            is_same &= value.is_some_and(|value| value.constant_time_eq(term));
        }
        Some(is_same)
    }
}

fn too_many(index: &IndexSpec) -> Error {
    Error::new(ErrorKind::Configuration).message(format!(
        "the blind index `{}` needs {} values",
        index.name(),
        index.parts().len()
    ))
}

impl<M> fmt::Debug for IndexSearch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexSearch")
            .field("index", &self.index.as_ref().map(|index| index.name()))
            .finish_non_exhaustive()
    }
}

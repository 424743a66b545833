//! The texts of a row, as adapters take them.

use std::{fmt, sync::Arc};

use super::{indexing::IndexEntry, texts::Texts};
use crate::{
    error::{Error, ErrorKind, Result},
    model::{PiiField, Walk},
    secret::SecretBytes,
    value::SealedField,
    wire::Ciphertext,
};

/// The text that is stored for one value.
#[derive(Clone)]
pub enum StoredText {
    /// The sealed text.
    Sealed(Ciphertext),
    /// Plaintext, for a field whose policy is `prepare`.
    Plaintext(SecretBytes),
}

impl StoredText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Sealed(text) => text.as_str(),
            // only texts that were checked to be UTF-8 come here
            Self::Plaintext(text) => std::str::from_utf8(text.expose()).unwrap_or_default(),
        }
    }
}

impl From<StoredText> for String {
    fn from(text: StoredText) -> Self {
        text.as_str().to_owned()
    }
}

impl From<StoredText> for Arc<str> {
    fn from(text: StoredText) -> Self {
        match text {
            StoredText::Sealed(text) => text.into(),
            StoredText::Plaintext(_) => text.as_str().into(),
        }
    }
}

impl fmt::Debug for StoredText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sealed(text) => write!(f, "{text:?}"),
            Self::Plaintext(_) => f.write_str("Plaintext(***)"),
        }
    }
}

/// The texts of one row's values, in the order in which the model visits them.
#[derive(Debug, Clone)]
pub struct SealedTexts {
    texts: Texts,
    /// of most models none
    pub(super) indexes: Box<[IndexEntry]>,
}

/// For adapters, which take the texts of one field after the other in the order of the model.
impl SealedTexts {
    pub(super) fn of(texts: Texts) -> Self {
        Self { texts, indexes: Box::default() }
    }

    pub(super) fn with_indexes(self, indexes: Vec<IndexEntry>) -> Self {
        Self { indexes: indexes.into(), ..self }
    }

    pub(super) fn are_sealed(&self) -> bool {
        self.texts.are_sealed()
    }

    /// What is stored for the blind indexes that are written with the row, in the order of the model.
    #[must_use]
    pub fn indexes(&self) -> &[IndexEntry] {
        &self.indexes
    }

    /// The text of a field that holds one value or none.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there are not as many texts left as the field has values.
    pub fn text<F: PiiField>(&mut self, field: &F) -> Result<Option<StoredText>> {
        let count = Walk::count(field);
        self.check(count)?;
        Ok(self.take(count).last())
    }

    /// A view of a field, such as a list or nested struct, that serialises as it will be stored.
    ///
    /// # Errors
    /// As [`SealedTexts::text`].
    pub fn field<'a, F: PiiField>(&mut self, field: &'a F) -> Result<SealedField<'a, F>> {
        let walk = Walk::of(field);
        self.check(walk.slots().len())?;
        Ok(SealedField::new(field, &walk, self.take(walk.slots().len())))
    }

    fn check(&self, count: usize) -> Result<()> {
        if count <= self.len() {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration)
            .message("the fields of the model were visited in another order than they are stored in"))
    }
}

impl Iterator for SealedTexts {
    type Item = StoredText;

    fn next(&mut self) -> Option<StoredText> {
        self.texts.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.texts.len(), Some(self.texts.len()))
    }
}

impl ExactSizeIterator for SealedTexts {}

//! How long values will be, told without a key.

use super::{
    Cryptor, FieldSelection,
    indexing::sized_entries,
    plan::Plan,
    seal::{Visited, too_few},
    sealed_texts::{SealedTexts, StoredText},
    texts::Texts,
};
use crate::{
    error::Result,
    model::{FieldSpec, Level, PiiModel},
    value::Sealed,
    wire::{Ciphertext, NONCE_BYTES, TAG_BYTES, inner},
};

/// More than the envelope of another system adds to a value.
const LEGACY_BYTES: usize = 1024;

impl Cryptor {
    /// How many characters the text of a new value of this field has at most: as
    /// [`FieldSpec::sealed_chars`], with room for the data key where there is no key store. Asks for no key.
    #[must_use]
    pub fn sealed_chars(&self, field: &FieldSpec, plaintext_bytes: usize) -> usize {
        field.sealed_chars_after(self.backend.head_bytes(), plaintext_bytes)
    }

    /// The longest plaintext, in bytes, whose sealed text surely has at most so many characters: as
    /// [`FieldSpec::plaintext_bytes_within`].
    #[must_use]
    pub fn plaintext_bytes_within(&self, field: &FieldSpec, chars: usize) -> Option<usize> {
        field.plaintext_bytes_within_after(self.backend.head_bytes(), chars)
    }

    /// A view of the model that serialises as large as it will be stored, with stand-ins in place of values
    /// that are to be sealed. For adapters, which count its bytes; it must never be stored: no reader takes
    /// a stand-in for a value.
    ///
    /// # Errors
    /// What [`Cryptor::seal_texts`] refuses without a key.
    #[doc(hidden)]
    pub fn sized<'a, M: PiiModel>(&self, model: &'a M) -> Result<Sealed<'a, M>> {
        let Visited { places, walk, rows } = Visited::of([model], self.usable_scope()?);
        let rules = self.rules(M::MODEL)?;
        let head = self.backend.head_bytes();
        let mut texts = Texts::default();
        let mut indexes = Vec::new();
        for (row, slots) in rows? {
            let slots = walk.slots().get(slots).unwrap_or_default();
            indexes = sized_entries(M::MODEL, slots);
            for slot in slots {
                let place = places.place(row, &walk, slot).ok_or_else(too_few)?;
                let inner = match place.field().level() {
                    Level::Three => inner::FRONT_BYTES + TAG_BYTES,
                    _ => 0,
                };
                let plan = self.plan(&rules, &place, slot.cell).map_err(|error| place.locate(error))?;
                texts.push(match plan {
                    Plan::WriteBack(text) | Plan::WriteBackLegacy(text, _) => {
                        StoredText::Sealed(text.clone())
                    }
                    Plan::Seal(plain) => {
                        StoredText::Sealed(Ciphertext::stand_in(head, inner + plain.expose().len()))
                    }
                    Plan::SealOther(plain) => {
                        StoredText::Sealed(Ciphertext::stand_in(head, inner + plain.expose().len()))
                    }
                    Plan::SealLegacy(plain, _) => {
                        let bytes = LEGACY_BYTES + plain.expose().len();
                        StoredText::Sealed(Ciphertext::stand_in(0, bytes.saturating_sub(NONCE_BYTES)))
                    }
                    Plan::Plaintext(plain) => StoredText::Plaintext(plain),
                });
            }
        }
        Ok(Sealed::of_fields(model, &FieldSelection::All, SealedTexts::of(texts).with_indexes(indexes)))
    }
}

//! What is left of a loaded model where nobody may see more.

use std::{fmt, marker::PhantomData};

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::masked::Masked;
use crate::{
    cryptor::{Cryptor, FieldSelection, Keys, hinted},
    error::Result,
    model::PiiModel,
};

/// The masked JSON of a model, without the model: no plaintext of a personal field is in it any more.
///
/// It serialises as [`Masked`] does. `Debug` and `Display` write it as JSON, for logs, with the values of the
/// encryption context hidden. Made by [`Cryptor::masked`], [`Cryptor::masked_with_hints`], and
/// `.masked()` on the reads of tables.
pub struct MaskedView<M> {
    json: Value,
    model: PhantomData<fn() -> M>,
}

impl<M: PiiModel + Serialize> MaskedView<M> {
    /// Of a model as it is: what is not opened stays so.
    ///
    /// # Errors
    /// Those of [`Masked::to_json`].
    pub fn of(model: &M) -> Result<Self> {
        Ok(Self { json: Masked(model).to_json()?, model: PhantomData })
    }
}

impl<M> MaskedView<M> {
    /// The JSON object.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    /// The JSON object.
    #[must_use]
    pub fn into_json(self) -> Value {
        self.json
    }
}

impl Cryptor {
    /// Masked views of loaded models. Nothing is opened and no key is asked for: of values that are sealed
    /// all that is seen is `*****`. The models are dropped.
    ///
    /// # Errors
    /// [`ContextMismatch`](crate::ErrorKind::ContextMismatch) outside the scope of the cryptor, stored plaintext that
    /// the field's policy refuses, and the errors of [`Masked::to_json`].
    pub async fn masked<M: PiiModel + Serialize>(&self, mut models: Vec<M>) -> Result<Vec<MaskedView<M>>> {
        self.open_each(&mut models, &FieldSelection::Nothing).await?.into_iter().collect::<Result<()>>()?;
        models.iter().map(MaskedView::of).collect()
    }

    /// As [`masked`](Self::masked), but opens the fields whose masks show a part of the value, such as
    /// `last4`; the plaintext is wiped once it is masked. Fields with the full mask, with values that are no
    /// text, or in WriteOnly mode are not opened.
    ///
    /// Where a key is missing, disabled, denied or destroyed, or this cryptor may only write, the value is
    /// masked in full.
    ///
    /// # Errors
    /// As [`masked`](Self::masked); and a value that was altered or does not belong here, a key service
    /// that can't be reached, and an audit sink that fails.
    pub async fn masked_with_hints<M: PiiModel + Serialize>(
        &self,
        mut models: Vec<M>,
    ) -> Result<Vec<MaskedView<M>>> {
        self.open_each(&mut models, &FieldSelection::Nothing).await?.into_iter().collect::<Result<()>>()?;
        for field in hinted::<M>() {
            let opening = self.open_hint(&mut models, &field, Keys::AskedFor).await?;
            opening.into_iter().collect::<Result<()>>()?;
        }
        models.iter().map(MaskedView::of).collect()
    }
}

impl<M> Serialize for MaskedView<M> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<M> Clone for MaskedView<M> {
    fn clone(&self) -> Self {
        Self { json: self.json.clone(), model: PhantomData }
    }
}

impl<M: PiiModel> fmt::Display for MaskedView<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut json = self.json.clone();
        for field in M::MODEL.context_fields() {
            if let Some(value) = json.get_mut(field.attribute()) {
                *value = "<context>".into();
            }
        }
        write!(f, "{json}")
    }
}

impl<M: PiiModel> fmt::Debug for MaskedView<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskedView({self})")
    }
}

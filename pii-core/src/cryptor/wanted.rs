//! What is opened of rows: chosen fields, or those whose masks show a part of the value.

use std::sync::Arc;

use super::{Cryptor, FieldSelection, Opening, PiiRow, open::Keys};
use crate::{
    error::{Error, ErrorKind, Result},
    mask::Mask,
    model::{FieldSpec, Holds, PiiModel},
};

/// What adapters have opened of many rows, batch by batch. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Wanted(Arc<What>);

#[derive(Debug)]
enum What {
    Fields(FieldSelection),
    /// These fields one by one: a key that is denied for one must not hide the others.
    Hints(Vec<FieldSelection>),
}

impl Wanted {
    /// These fields, as [`Cryptor::open_each`] opens them.
    #[must_use]
    pub fn fields(fields: FieldSelection) -> Self {
        Self(Arc::new(What::Fields(fields)))
    }

    /// The fields of a model of whose values masks show a part, as [`Cryptor::masked_with_hints`] opens them: what
    /// nobody here may open stays sealed.
    #[must_use]
    pub fn hints<M: PiiModel>() -> Self {
        Self(Arc::new(What::Hints(hinted::<M>().collect())))
    }

    /// What may be refused for every row, so that it can be asked before there is any. Of hints nothing is: what
    /// nobody may open is masked.
    #[must_use]
    pub fn always(&self) -> &FieldSelection {
        match &*self.0 {
            What::Fields(fields) => fields,
            What::Hints(_) => &FieldSelection::Nothing,
        }
    }

    #[cfg(feature = "threads")]
    pub(super) fn is_nothing(&self) -> bool {
        match &*self.0 {
            What::Fields(fields) => *fields == FieldSelection::Nothing,
            What::Hints(fields) => fields.is_empty(),
        }
    }
}

/// The fields of a model of which masks show a part, each for itself.
pub(crate) fn hinted<M: PiiModel>() -> impl Iterator<Item = FieldSelection> {
    let fields = M::MODEL.fields().iter().filter(|field| shows_a_part(field));
    fields.map(|field| FieldSelection::only([field.name()]))
}

impl Cryptor {
    /// Opens what is wanted of rows in place, and says for each what became of it, as [`Cryptor::open_each`] does.
    /// Of hints, rows behind the first that fails are not opened: whoever gives them in order ends there.
    ///
    /// # Errors
    /// Those of [`Cryptor::open_each`].
    pub async fn open_wanted<R: PiiRow>(&self, rows: &mut [R], wanted: &Wanted) -> Result<Opening> {
        match &*wanted.0 {
            What::Fields(fields) => self.open_each(rows, fields).await,
            What::Hints(fields) => self.open_hints(rows, fields, Keys::AskedFor).await,
        }
    }

    /// As `open_wanted`, if nothing has to be waited for: see [`Cryptor::open_at_hand`]. If not, it can be asked for
    /// again: what was opened stays so.
    #[cfg(feature = "threads")]
    pub(super) fn wanted_at_hand<R: PiiRow>(&self, rows: &mut [R], wanted: &Wanted) -> Option<Opening> {
        use futures_util::FutureExt as _;

        match &*wanted.0 {
            What::Fields(fields) => self.open_at_hand(rows, fields),
            What::Hints(_) if self.is_audited() => None,
            What::Hints(fields) => self.open_hints(rows, fields, Keys::AtHand).now_or_never()?.ok(),
        }
    }

    async fn open_hints<R: PiiRow>(
        &self,
        rows: &mut [R],
        fields: &[FieldSelection],
        keys: Keys,
    ) -> Result<Opening> {
        let mut opening = self.open_rows(rows, &FieldSelection::Nothing, keys).await?;
        for field in fields {
            let good = opening.iter().position(Result::is_err).unwrap_or(opening.len());
            let rows = rows.get_mut(..good).unwrap_or_default();
            let of_field = self.open_hint(rows, field, keys).await?;
            opening.iter_mut().zip(of_field).for_each(|(row, of_field)| *row = of_field);
        }
        Ok(opening)
    }

    /// Opens a field whose masks show a part, where it may be opened.
    pub(crate) async fn open_hint<R: PiiRow>(
        &self,
        rows: &mut [R],
        field: &FieldSelection,
        keys: Keys,
    ) -> Result<Opening> {
        match self.open_rows(rows, field, keys).await {
            Ok(opening) => Ok(opening.into_iter().map(unless_keyless).collect()),
            Err(error) => unless_keyless(Err(error)).map(|()| rows.iter().map(|_| Ok(())).collect()),
        }
    }
}

/// Whether opening the field would change what its masks show.
fn shows_a_part(field: &FieldSpec) -> bool {
    match field.holds() {
        Holds::Nested(fields) | Holds::NestedMany(fields) => fields.iter().any(shows_a_part),
        Holds::Value(code) | Holds::Values(code) => {
            code == crate::TypeCode::UTF8 && field.mode().can_open() && !matches!(field.mask(), Mask::Full)
        }
        Holds::Plain => false,
    }
}

/// Lets pass what only means that nobody here may open the value.
fn unless_keyless(opened: Result<()>) -> Result<()> {
    match opened.as_ref().map_err(Error::kind) {
        Err(
            ErrorKind::KeyMissing
            | ErrorKind::KeyDisabled
            | ErrorKind::KeyDenied
            | ErrorKind::Erased
            | ErrorKind::Mode,
        ) => Ok(()),
        _ => opened,
    }
}

//! sea-orm codecs. A conversion into its `Value` can't fail, so only a `Ciphertext` has one: what is not
//! sealed can't be a column's value, by its type.

use std::sync::Arc;

use sea_orm::{
    ActiveValue, ColIdx, DbErr, IntoActiveValue, QueryResult, TryGetError, TryGetable, Value,
    sea_query::{ArrayType, ColumnType, Nullable, ValueType, ValueTypeErr},
};

use super::encrypted::Encrypted;
use crate::{
    error::{Error, ErrorKind, Result},
    wire::Ciphertext,
};

/// The step from a sealed field to the value of a column in sea-orm: [`EncryptedStr`](crate::EncryptedStr) and
/// [`Encrypted<T>`](crate::Encrypted) become a [`Ciphertext`], in an `Option` too.
///
/// sea-orm turns what a model holds into values without a way to fail. So the columns of an entity are of
/// the type `Ciphertext`, which is never anything but sealed, and a model with fields that may be plain gets
/// there by this step.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Ciphertext, EncryptedStr, ToActiveValue};
/// use sea_orm::ActiveValue;
///
/// # fn store(phone: &Option<EncryptedStr>) -> pii::Result<()> {
/// let column: ActiveValue<Option<Ciphertext>> = phone.to_active_value()?;
/// # Ok(())
/// # }
/// assert!(store(&None).is_ok());
/// assert!(store(&Some(EncryptedStr::new("555-0100"))).is_err()); // not sealed
/// ```
///
/// There is no other step:
///
/// ```compile_fail,E0277
/// # use pii_core as pii;
/// let value = sea_orm::Value::from(pii::EncryptedStr::new("555-0100"));
/// ```
pub trait ToActiveValue {
    /// The type of the column: [`Ciphertext`], or an `Option` of one.
    type Column: Into<Value>;

    /// The sealed text, to be set.
    ///
    /// # Errors
    /// Those of [`Encrypted::stored_text`](crate::Encrypted::stored_text): [`ErrorKind::State`] for a value that
    /// is not sealed.
    fn to_active_value(&self) -> Result<ActiveValue<Self::Column>>;
}

impl<T> ToActiveValue for Encrypted<T> {
    type Column = Ciphertext;

    fn to_active_value(&self) -> Result<ActiveValue<Ciphertext>> {
        self.stored_text().cloned().map(ActiveValue::Set)
    }
}

impl<T> ToActiveValue for Option<Encrypted<T>> {
    type Column = Option<Ciphertext>;

    fn to_active_value(&self) -> Result<ActiveValue<Option<Ciphertext>>> {
        let text = self.as_ref().map(Encrypted::stored_text).transpose()?;
        Ok(ActiveValue::Set(text.cloned()))
    }
}

impl From<Ciphertext> for Value {
    fn from(ciphertext: Ciphertext) -> Self {
        Self::String(Some(ciphertext.into()))
    }
}

impl Nullable for Ciphertext {
    fn null() -> Value {
        Value::String(None)
    }
}

impl ValueType for Ciphertext {
    fn try_from(value: Value) -> std::result::Result<Self, ValueTypeErr> {
        Self::parse(<String as ValueType>::try_from(value)?).map_err(|_| ValueTypeErr)
    }

    fn type_name() -> String {
        "Ciphertext".to_owned()
    }

    fn array_type() -> ArrayType {
        ArrayType::String
    }

    fn column_type() -> ColumnType {
        ColumnType::Text
    }
}

impl IntoActiveValue<Ciphertext> for Ciphertext {
    fn into_active_value(self) -> ActiveValue<Ciphertext> {
        ActiveValue::Set(self)
    }
}

impl TryGetable for Ciphertext {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> std::result::Result<Self, TryGetError> {
        Self::parse(text(row, index)?).map_err(|error| refused("Ciphertext", error.into()).into())
    }
}

impl<T> TryGetable for Encrypted<T> {
    fn try_get_by<I: ColIdx>(row: &QueryResult, index: I) -> std::result::Result<Self, TryGetError> {
        text(row, index).map(Self::from_stored)
    }
}

fn text<I: ColIdx>(row: &QueryResult, index: I) -> std::result::Result<String, TryGetError> {
    String::try_get_by(row, index).map_err(|error| match error {
        // its source holds the bytes that are no text
        TryGetError::DbErr(DbErr::TryIntoErr { .. }) => {
            let error = Error::new(ErrorKind::Malformed).message("the stored value is not text");
            refused("String", error).into()
        }
        other => other,
    })
}

fn refused(into: &'static str, error: Error) -> DbErr {
    DbErr::TryIntoErr { from: "stored text", into, source: Arc::new(error) }
}

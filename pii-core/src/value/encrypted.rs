//! `Encrypted<T>`, the type of sealed fields.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    cell::Cell,
    pii_value::{HasTypeOps, Json, PiiValue, encode_json},
    scalars::IntoPii,
};
use crate::{
    error::{Error, ErrorKind, Result},
    mask::{FULL, Mask},
    model::{Holds, PiiField, TypeCode, Walk, WalkMut},
    secret::SecretBytes,
    wire::{Ciphertext, FormatError},
};

/// Encrypted text.
pub type EncryptedStr = Encrypted<String>;

/// A value that is stored sealed.
///
/// It is in one of four states. A **plain** value was set by the program; saving seals it. A
/// **sealed** value came from storage; it can be printed and saved again, and its plaintext is not
/// known. An **opened** value was decrypted on request and keeps its sealed text, so that saving
/// it unchanged needs no key. A **legacy** value is stored text without `ENC:`, which nothing
/// accepts before the policy of its field does.
///
/// [`expose`](Self::expose) is the one door to the plaintext. Debug and Display mask it, serde and
/// the database codecs write sealed text and refuse a plain value, equality compares plaintexts in
/// constant time, and the memory is wiped when the value is dropped.
///
/// ```
/// # use pii_core as pii;
/// use pii::EncryptedStr;
///
/// let email = EncryptedStr::new("ada@example.com");
/// assert_eq!(email.expose()?, "ada@example.com");
/// assert_eq!(format!("{email} {email:?}"), "***** <plain *****>");
/// # Ok::<(), pii::Error>(())
/// ```
///
/// There is no conversion from text: text from a database must not be mistaken for plaintext.
///
/// ```compile_fail
/// # use pii_core as pii;
/// let email: pii::EncryptedStr = "ENC:AgE...".to_owned().into();
/// ```
#[cfg_attr(
    feature = "diesel",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = diesel::sql_types::Text)
)]
pub struct Encrypted<T> {
    cell: Cell,
    value: PhantomData<fn() -> T>,
}

/// The state of an [`Encrypted`] value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValueState {
    /// Set by the program; saving seals it.
    Plain,
    /// Came from storage; the plaintext is not known.
    Sealed,
    /// Came from storage and was decrypted.
    Opened,
    /// Stored text that is not encrypted, not accepted yet.
    Legacy,
    /// Stored text that begins with `ENC:` and is damaged or of an unknown version. Where a field says
    /// `#[pii(legacy = "...")]`, it is sealed once the model was loaded through a table or `.decrypt_pii()`.
    Malformed,
}

impl<T> Encrypted<T> {
    /// A plain value: of text whatever becomes a `String`, of bytes whatever becomes a `Vec<u8>`, of other types
    /// the value itself. Text that begins with `ENC:` is data like any other.
    #[must_use]
    pub fn new(value: impl IntoPii<T>) -> Self {
        Self::from_plain(value.into_pii())
    }

    /// Replaces the value by a plain one.
    pub fn set(&mut self, value: impl IntoPii<T>) {
        *self = Self::new(value);
    }
}

impl<T: Serialize + DeserializeOwned + 'static> Encrypted<Json<T>> {
    /// A plain value, kept as its JSON text.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if serde can't write it as JSON, such as a map with keys that are
    /// not text.
    pub fn json(value: &T) -> Result<Self> {
        encode_json(value).map(|json| Self::from_cell(Cell::Plain(json)))
    }
}

impl<T: PiiValue> Encrypted<T> {
    /// A plain value of any type that can be sealed.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] if the value can't be expressed in the format.
    pub fn from_value(value: T) -> Result<Self> {
        value.encode().map(|bytes| Self::from_cell(Cell::Plain(bytes)))
    }

    /// The plaintext.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if the value is sealed: ask for it with `decrypt_pii()`. A field in
    /// WriteOnly mode stays sealed.
    /// [`ErrorKind::NotEncrypted`] for legacy text that no policy has accepted.
    /// [`ErrorKind::Malformed`] if the stored text, or the plaintext in it, is not a value of this type.
    pub fn expose(&self) -> Result<T::Exposed<'_>> {
        match &self.cell {
            Cell::Plain(plain) | Cell::Opened { plain, .. } => T::decode(plain.expose()),
            Cell::Sealed { .. } => Err(Error::new(ErrorKind::State).message("the value is sealed").help(
                "load it with `.decrypt_pii()`, or open it with `Cryptor::open`; a field in WriteOnly mode \
                     stays sealed",
            )),
            Cell::Legacy(_) => Err(not_accepted()),
            Cell::Foreign(_) => Err(FormatError::UnknownVersion.into()),
            Cell::Malformed(error) => Err((*error).into()),
        }
    }
}

impl<T> Encrypted<T> {
    /// A sealed value, as another system stored it. Its place is checked when it is opened or saved.
    #[must_use]
    pub fn from_ciphertext(text: Ciphertext) -> Self {
        Self::from_cell(Cell::Sealed { text, place: None })
    }

    /// A value of text from storage, for database codecs: sealed if it is a well-formed `ENC:` text,
    /// otherwise kept for the field's policy or as malformed. Never for text that a person typed.
    #[must_use]
    pub fn from_stored<'a>(text: impl Into<Cow<'a, str>>) -> Self {
        Self::from_cell(Cell::from_stored(text.into()))
    }

    /// The sealed text, if there is one.
    #[must_use]
    pub fn ciphertext(&self) -> Option<&Ciphertext> {
        self.cell.sealed_text()
    }

    /// The sealed text, for whoever is about to store it.
    ///
    /// # Errors
    /// [`ErrorKind::State`] for a plain value, [`ErrorKind::NotEncrypted`] for legacy text,
    /// [`ErrorKind::Malformed`] or [`ErrorKind::UnknownVersion`] for damaged text.
    pub fn stored_text(&self) -> Result<&Ciphertext> {
        match &self.cell {
            Cell::Sealed { text, .. } | Cell::Opened { text, .. } => Ok(text),
            Cell::Plain(_) => Err(Error::new(ErrorKind::State)
                .message("the value is not sealed")
                .help("save the model through `SqlTable` or another table of this library, or seal it with `Cryptor::seal`")),
            Cell::Legacy(_) => Err(not_accepted()),
            Cell::Foreign(_) => Err(FormatError::UnknownVersion.into()),
            Cell::Malformed(error) => Err((*error).into()),
        }
    }

    /// The state.
    #[must_use]
    pub fn state(&self) -> ValueState {
        match &self.cell {
            Cell::Plain(_) => ValueState::Plain,
            Cell::Sealed { .. } => ValueState::Sealed,
            Cell::Opened { .. } => ValueState::Opened,
            Cell::Legacy(_) => ValueState::Legacy,
            Cell::Foreign(_) | Cell::Malformed(_) => ValueState::Malformed,
        }
    }

    /// Forgets the sealed text of an opened value, so that the next save seals it anew: for a row
    /// whose id or tenant changes, or to move to a new data key. A plain value stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::State`] if the plaintext is not known: open the value first.
    pub fn reseal(&mut self) -> Result<()> {
        if self.cell.reseal() { Ok(()) } else { Err(not_opened()) }
    }

    pub(crate) fn from_plain(bytes: SecretBytes) -> Self {
        Self::from_cell(Cell::Plain(bytes))
    }

    pub(crate) fn from_cell(cell: Cell) -> Self {
        Self { cell, value: PhantomData }
    }

    pub(crate) fn cell(&self) -> &Cell {
        &self.cell
    }
}

impl<T: PiiValue> Encrypted<T> {
    /// The value as a mask shows it. A value whose plaintext is not known, or is not text, is
    /// masked in full.
    #[must_use]
    pub fn masked(&self, mask: Mask) -> String {
        let text = self.cell.plain().filter(|_| T::TYPE == TypeCode::UTF8).map(SecretBytes::expose);
        match text.and_then(|bytes| std::str::from_utf8(bytes).ok()) {
            Some(text) => mask.apply(text),
            None => FULL.to_owned(),
        }
    }
}

pub(crate) fn not_opened() -> Error {
    Error::new(ErrorKind::State)
        .message("a value must be opened before it can be sealed anew")
        .help("load it with `.decrypt_pii()`")
}

fn not_accepted() -> Error {
    Error::new(ErrorKind::NotEncrypted)
        .message("the stored text does not begin with `ENC:`")
        .help("load it through a table or `.decrypt_pii()`, where the field's `plaintext` policy decides")
}

impl<T> Clone for Encrypted<T> {
    fn clone(&self) -> Self {
        Self::from_cell(self.cell.clone())
    }
}

impl Default for Encrypted<String> {
    /// A plain empty text. With `#[serde(default)]` or `#[sqlx(default)]` on a field it stands for a
    /// column that was not loaded, and saving that row would store it: use `Option` there.
    fn default() -> Self {
        Self::new("")
    }
}

impl<T> PartialEq for Encrypted<T> {
    /// Plaintexts are compared in constant time; two values whose plaintext is unknown are equal
    /// if their stored texts are; otherwise they are unequal.
    fn eq(&self, other: &Self) -> bool {
        self.cell == other.cell
    }
}

impl<T> Eq for Encrypted<T> {}

impl<T> fmt::Display for Encrypted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FULL)
    }
}

impl<T> fmt::Debug for Encrypted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {FULL}>", state_name(self.state()))
    }
}

fn state_name(state: ValueState) -> &'static str {
    match state {
        ValueState::Plain => "plain",
        ValueState::Sealed => "sealed",
        ValueState::Opened => "opened",
        ValueState::Legacy => "legacy",
        ValueState::Malformed => "malformed",
    }
}

impl<T: PiiValue> PiiField for Encrypted<T> {
    const HOLDS: Holds = Holds::Value(T::TYPE);
    const PAD: Option<u32> = T::PAD;

    fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
        walk.value(&self.cell, T::OPS);
    }

    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) {
        walk.cells.push(&mut self.cell);
    }

    fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} {}>", state_name(self.state()), self.masked(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_never_guessed_to_be_sealed() {
        let value = EncryptedStr::new("ENC:AgEAAAA=");
        assert_eq!(value.state(), ValueState::Plain);
        assert_eq!(value.expose().unwrap(), "ENC:AgEAAAA=");
        assert_eq!(value.stored_text().unwrap_err().kind(), ErrorKind::State);
    }

    #[test]
    fn stored_text_is_never_guessed_to_be_plain() {
        let legacy = EncryptedStr::from_stored("ada@example.com");
        assert_eq!(legacy.state(), ValueState::Legacy);
        assert_eq!(legacy.expose().unwrap_err().kind(), ErrorKind::NotEncrypted);
        assert_eq!(legacy.stored_text().unwrap_err().kind(), ErrorKind::NotEncrypted);
        let damaged = EncryptedStr::from_stored("ENC:AgEA");
        assert_eq!(damaged.state(), ValueState::Malformed);
        assert_eq!(damaged.expose().unwrap_err().kind(), ErrorKind::Malformed);
    }

    #[test]
    fn equality_needs_the_same_knowledge_on_both_sides() {
        assert_eq!(EncryptedStr::new("a"), EncryptedStr::new("a"));
        assert_ne!(EncryptedStr::new("a"), EncryptedStr::new("b"));
        assert_ne!(EncryptedStr::new("a"), EncryptedStr::from_stored("a"));
        assert_eq!(EncryptedStr::from_stored("a"), EncryptedStr::from_stored("a"));
    }

    #[test]
    fn json_is_kept_as_text_and_exposed_owned() {
        let value = Encrypted::<Json<Vec<u32>>>::json(&vec![1, 2]).unwrap();
        assert_eq!(value.expose().unwrap(), [1, 2]);
        assert_eq!(value.masked(Mask::Last4), FULL);
    }

    #[test]
    fn json_errors_do_not_quote_the_plaintext() {
        let text = Encrypted::<Json<String>>::json(&"ada@example.com".to_owned()).unwrap();
        let numbers = Encrypted::<Json<Vec<u32>>>::from_cell(text.cell().clone());
        let error = numbers.expose().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("ada"));
    }
}

//! One error type for everything that can go wrong between a field and its stored text.

use std::{fmt, sync::Arc};

/// A result whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of thing went wrong. The predicates on [`Error`] group these for callers that only
/// need to know whether to retry, to alert or to answer "not found".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The program is set up in a way that cannot work: no such keyring, an unreadable key file,
    /// an unknown field name.
    Configuration,
    /// An encryption context is empty where it must not be, too long, or uses a reserved key.
    InvalidContext,
    /// No key record or key-encryption key with this id is known.
    KeyMissing,
    /// The key exists but was disabled.
    KeyDisabled,
    /// The key service refused: missing permission.
    KeyDenied,
    /// The key service asks to slow down.
    KeyThrottled,
    /// The key service, key store or key file cannot be reached.
    KeyUnavailable,
    /// The stored text is not encrypted, although the field's policy demands it.
    NotEncrypted,
    /// The stored text is marked as encrypted and is not: a stand-in for tests or development of
    /// another system wrote it.
    FakeEncryption,
    /// The stored text was written in a version or layout of the format that this release does
    /// not know.
    UnknownVersion,
    /// The stored text begins with `ENC:` but is not a well-formed value, or the plaintext inside
    /// is not of the field's type.
    Malformed,
    /// The value does not belong here or was altered: tag, binding or key commitment failed.
    /// Which of them is not told, on purpose.
    Integrity,
    /// The encryption context of the row is not the one the value or the cryptor was made for.
    ContextMismatch,
    /// A loaded value is about to be saved in another place than the one it was loaded from.
    WrongPlace,
    /// The field's mode, or the mode of the cryptor, forbids the operation.
    Mode,
    /// A value is in a state in which the operation makes no sense: sealed where plaintext is
    /// needed, or plain where ciphertext is needed.
    State,
    /// The value was erased by destroying its key.
    Erased,
    /// A value is too large: more than 1 MiB of plaintext.
    TooLarge,
    /// A path into JSON documents can't be read.
    InvalidPath,
    /// A path leads to nothing in a JSON document.
    PathNotFound,
    /// A JSON document can't be read without loss: no JSON, nested too deep, a key twice, a number of
    /// more than 64 bits.
    InvalidDocument,
    /// The row does not exist.
    RowNotFound,
    /// The row was changed by someone else since it was loaded.
    Conflict,
    /// Another row has the value already, in a column that is unique.
    Duplicate,
    /// One row was asked for, and there are several.
    SeveralRows,
    /// A search for nothing: what is searched for is empty, or nothing is left of it after normalising.
    InvalidSearch,
    /// The audit sink could not take the event, and the cryptor is configured to stop then.
    Audit,
    /// The database, its driver or the connection reported an error.
    Database,
    /// The database asks to slow down.
    DatabaseThrottled,
    /// The database cannot be reached, or did not answer in time.
    DatabaseUnavailable,
}

impl ErrorKind {
    fn summary(self) -> &'static str {
        match self {
            Self::Configuration => "wrong configuration",
            Self::InvalidContext => "invalid encryption context",
            Self::KeyMissing => "key not found",
            Self::KeyDisabled => "key disabled",
            Self::KeyDenied => "access to key denied",
            Self::KeyThrottled => "key service throttled",
            Self::KeyUnavailable => "key service unavailable",
            Self::NotEncrypted => "stored value is not encrypted",
            Self::FakeEncryption => "stored value was never really encrypted",
            Self::UnknownVersion => "stored value has an unknown version",
            Self::Malformed => "stored value is malformed",
            Self::Integrity => "stored value does not belong here or was altered",
            Self::ContextMismatch => "encryption context does not match",
            Self::WrongPlace => "value was loaded from another place",
            Self::Mode => "operation forbidden by mode",
            Self::State => "value is in the wrong state",
            Self::Erased => "value was erased",
            Self::TooLarge => "value is too large",
            Self::InvalidPath => "invalid path",
            Self::PathNotFound => "path leads to nothing",
            Self::InvalidDocument => "invalid document",
            Self::RowNotFound => "row not found",
            Self::Conflict => "row was changed by someone else",
            Self::Duplicate => "value exists already",
            Self::SeveralRows => "more than one row",
            Self::InvalidSearch => "invalid search",
            Self::Audit => "audit event could not be recorded",
            Self::Database => "database error",
            Self::DatabaseThrottled => "database throttled",
            Self::DatabaseUnavailable => "database unavailable",
        }
    }
}

type Source = Arc<dyn std::error::Error + Send + Sync + 'static>;

#[derive(Clone, Default)]
struct Details {
    message: Option<String>,
    help: Option<String>,
    model: Option<String>,
    field: Option<String>,
    row: Option<String>,
    key: Option<String>,
    source: Option<Source>,
}

/// What happened, where, and what to do next.
///
/// Its `Display` names the model, the field, the row and the key when they are known, and never a
/// plaintext, a key or the value of an encryption context. It is cheap to move and can be cloned.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::KeyThrottled).field("customer", "email");
/// assert!(error.is_retryable());
/// assert_eq!(error.to_string(), "customer.email: key service throttled");
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    details: Box<Details>,
}

impl Error {
    /// An error of this kind, with nothing else known yet.
    #[must_use]
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, details: Box::default() }
    }

    /// Says more precisely what happened. Must not hold plaintext, keys or context values.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.details.message = Some(message.into());
        self
    }

    /// Says in front of the message what it is about, such as one of many in a request. Must not hold
    /// plaintext, keys or context values.
    #[must_use]
    pub fn within(mut self, whole: &str) -> Self {
        self.details.message = Some(match self.details.message.take() {
            Some(message) => format!("{whole}: {message}"),
            None => whole.to_owned(),
        });
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.details.help = Some(help.into());
        self
    }

    /// Names the model and the field, if they are not named yet.
    #[must_use]
    pub fn field(mut self, model: &str, field: &str) -> Self {
        self.details.model.get_or_insert_with(|| model.to_owned());
        self.details.field.get_or_insert_with(|| field.to_owned());
        self
    }

    /// Names the model, if it is not named yet.
    #[must_use]
    pub fn model(mut self, model: &str) -> Self {
        self.details.model.get_or_insert_with(|| model.to_owned());
        self
    }

    /// Names the row by its id. Ids are bound in clear and must not be personal. Control characters
    /// are left out, and only the first 200 characters are kept.
    #[must_use]
    pub fn row(mut self, row: impl fmt::Display) -> Self {
        self.details.row.get_or_insert_with(|| tame(&row.to_string()));
        self
    }

    /// Names the key by its id.
    #[must_use]
    pub fn key(mut self, key: impl fmt::Display) -> Self {
        self.details.key.get_or_insert_with(|| tame(&key.to_string()));
        self
    }

    /// Keeps the error of the layer below, for [`std::error::Error::source`].
    #[must_use]
    pub fn source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.details.source = Some(Arc::new(source));
        self
    }

    /// The kind of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable name of the model, when known.
    #[must_use]
    pub fn model_name(&self) -> Option<&str> {
        self.details.model.as_deref()
    }

    /// The stable name of the field, when known.
    #[must_use]
    pub fn field_name(&self) -> Option<&str> {
        self.details.field.as_deref()
    }

    /// The id of the row, when known.
    #[must_use]
    pub fn row_id(&self) -> Option<&str> {
        self.details.row.as_deref()
    }

    /// The id of the data key or key-encryption key, when known.
    #[must_use]
    pub fn key_id(&self) -> Option<&str> {
        self.details.key.as_deref()
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::KeyThrottled
                | ErrorKind::KeyUnavailable
                | ErrorKind::DatabaseThrottled
                | ErrorKind::DatabaseUnavailable
        )
    }

    /// Whether a stored value was altered, moved, or never was a value of ours.
    #[must_use]
    pub fn is_integrity(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Integrity
                | ErrorKind::Malformed
                | ErrorKind::NotEncrypted
                | ErrorKind::FakeEncryption
                | ErrorKind::ContextMismatch
                | ErrorKind::UnknownVersion
        )
    }

    /// Whether a permission is missing: of the key service, or by mode.
    #[must_use]
    pub fn is_access(&self) -> bool {
        matches!(self.kind, ErrorKind::KeyDenied | ErrorKind::KeyDisabled | ErrorKind::Mode)
    }

    /// Whether the row does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.kind == ErrorKind::RowNotFound
    }
}

/// What comes from storage may not forge lines of a log or fill it.
fn tame(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let details = &*self.details;
        match (&details.model, &details.field) {
            (Some(model), Some(field)) => write!(f, "{model}.{field}: ")?,
            (Some(model), None) => write!(f, "{model}: ")?,
            (None, Some(field)) => write!(f, "{field}: ")?,
            (None, None) => {}
        }
        f.write_str(self.kind.summary())?;
        if let Some(message) = &details.message {
            write!(f, ": {message}")?;
        }
        match (&details.row, &details.key) {
            (Some(row), Some(key)) => write!(f, " (row {row}, key {key})")?,
            (Some(row), None) => write!(f, " (row {row})")?,
            (None, Some(key)) => write!(f, " (key {key})")?,
            (None, None) => {}
        }
        if let Some(help) = &details.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({:?}: {self}", self.kind)?;
        if let Some(source) = &self.details.source {
            write!(f, "; caused by: {source}")?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.details.source.as_ref().map(|source| {
            let source: &(dyn std::error::Error + 'static) = &**source;
            source
        })
    }
}

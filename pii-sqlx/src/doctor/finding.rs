//! What a doctor finds, as data.

use std::fmt;

use serde::Serialize;

/// One thing that a [`Doctor`](crate::Doctor) found. It holds names and numbers, and nothing of any value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub kind: FindingKind,
    /// The stable name of the model.
    pub model: &'static str,
    /// The table, as the model or the program names it.
    pub table: String,
    /// The column, if it is about one.
    pub column: Option<String>,
    /// The field of the model that it is about, by its stable name; that of a nested struct with columns of its own is
    /// `address.street`.
    pub field: Option<String>,
    /// The name of the index, view, trigger or other object, if it is about one.
    pub name: Option<String>,
    /// How many values, if it is about values.
    pub count: Option<u64>,
    /// What was found, for people.
    pub message: String,
    /// What to do about it, for people.
    pub help: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Works today, and is likely to surprise or to leak.
    Warning,
    /// Values are lost, refused, or stored in clear.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// What a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingKind {
    /// The table does not exist.
    TableMissing,
    /// A column of the model does not exist.
    ColumnMissing,
    /// A column can't hold what the field does.
    WrongType,
    /// A column of fixed length, such as `CHAR(n)`, for text of any length.
    FixedLength,
    /// Sealed values don't fit into the column.
    TooShort,
    /// The field is optional, and the column takes no NULL.
    NotNullable,
    /// The field is not optional, and the column takes NULL.
    Nullable,
    /// Ids or blind indexes that differ are equal in the column's collation.
    LooseCollation,
    /// The columns of the id are no primary or unique key.
    IdNotUnique,
    /// A column that looks like the plaintext of a sealed one.
    PlaintextTwin,
    /// An index on a sealed column.
    Index,
    /// A unique key on a sealed column.
    UniqueIndex,
    /// An index that was not finished and is not used.
    InvalidIndex,
    /// A column of a blind index that has no index.
    IndexMissing,
    /// A view that shows a sealed column.
    View,
    /// A trigger that names a sealed column, or one that may handle whole rows.
    Trigger,
    /// A publication that sends a sealed column to subscribers.
    Publication,
    /// A column that is computed from a sealed one.
    GeneratedColumn,
    /// A foreign key on a sealed column.
    ForeignKey,
    /// A policy of row-level security that names a sealed column.
    Policy,
    /// A check on a sealed column that is not the one for `ENC:`.
    OtherCheck,
    /// Nothing in the database keeps plaintext out of a sealed column.
    CheckMissing,
    /// The check that keeps plaintext out holds for new rows only.
    CheckNotValidated,
    /// Values that are not sealed.
    PlaintextValues,
    /// Values that begin as sealed ones do and are not whole.
    DamagedValues,
    /// Values of another system, or of a newer release.
    ForeignValues,
    /// Values under a data key that only opens by now.
    RetiredKey,
    /// Values under a data key that was destroyed: they are erased.
    DestroyedKey,
    /// Values under a data key without a record: they don't open.
    UnknownKey,
    /// Values under a data key whose record can't be read.
    UnreadableKey,
    /// A blind index that is unique in the model, and has no unique index in the database.
    UniqueMissing,
    /// A column of a version of a blind index that the model does not have any more: it may be dropped.
    RetiredIndex,
    /// Values whose row has no code in a blind index.
    CodesMissing,
    /// Codes of a blind index in rows that have no value.
    CodesLeft,
    /// Codes of a blind index that no search can find.
    DamagedCodes,
    /// So few different values in a blind index that they can be told by how often they occur.
    FewValues,
    /// A blind index that keeps more or fewer bits than its values need.
    IndexBits,
}

impl Finding {
    pub(super) fn new(severity: Severity, kind: FindingKind) -> Self {
        Self {
            severity,
            kind,
            model: "",
            table: String::new(),
            column: None,
            field: None,
            name: None,
            count: None,
            message: String::new(),
            help: String::new(),
        }
    }

    pub(super) fn error(kind: FindingKind) -> Self {
        Self::new(Severity::Error, kind)
    }

    pub(super) fn warning(kind: FindingKind) -> Self {
        Self::new(Severity::Warning, kind)
    }

    pub(super) fn note(kind: FindingKind) -> Self {
        Self::new(Severity::Note, kind)
    }

    pub(super) fn column(mut self, column: &str) -> Self {
        self.column = Some(column.to_owned());
        self
    }

    pub(super) fn field(mut self, path: &str) -> Self {
        self.field = Some(path.to_owned());
        self
    }

    pub(super) fn name(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    pub(super) fn count(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    pub(super) fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8}", self.severity)?;
        if let Some(column) = &self.column {
            f.write_str(column)?;
            // a twin names the column of the field as well
            let is_shown = |field: &&String| *field != column && self.name.as_ref() != Some(*field);
            if let Some(field) = self.field.as_ref().filter(is_shown) {
                write!(f, " (`{field}`)")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "\n        -> {}", self.help)?;
        }
        Ok(())
    }
}

//! Errors of databases and drivers without what may quote values: `Duplicate entry 'ada@example.com' for key ..`,
//! `Failing row contains (2, acme, ada@example.com)`, `invalid datetime: 1815-12-10`.

use std::{borrow::Cow, error::Error as StdError, fmt};

use pii_core::{Error, FormatError};
use sqlx::error::{BoxDynError, DatabaseError, ErrorKind, UnexpectedNullError};

use crate::{
    adopt::{REFUSAL, UNFIT},
    ddl::NOT_SEALED,
};

/// The same error, showing of the database's own words only those that name no value. Who asks for the driver's
/// error, such as `PgDatabaseError`, gets it with everything.
pub(crate) fn quiet(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Database(database) => sqlx::Error::Database(Box::new(Quiet(database))),
        sqlx::Error::ColumnDecode { index, source } => {
            sqlx::Error::ColumnDecode { index, source: quiet_of_value(source) }
        }
        sqlx::Error::Decode(source) => sqlx::Error::Decode(quiet_of_value(source)),
        sqlx::Error::Encode(source) => sqlx::Error::Encode(quiet_of_value(source)),
        other => other,
    }
}

/// The error of a value that is no value of its type, unless it names types alone.
fn quiet_of_value(source: BoxDynError) -> BoxDynError {
    /// sqlx 0.9's `mismatched_types`.
    const TYPES_DIFFER: &str = "mismatched types; Rust type `";
    let is_ours = source.is::<Error>() || source.is::<FormatError>();
    if is_ours || source.is::<UnexpectedNullError>() || source.to_string().starts_with(TYPES_DIFFER) {
        return source;
    }
    Box::new(NotOfItsType)
}

/// In the place of an error that may quote the value.
#[derive(Debug)]
struct NotOfItsType;

impl fmt::Display for NotOfItsType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value of the type; what is wrong with it may quote the value and is left out")
    }
}

impl StdError for NotOfItsType {}

struct Quiet(Box<dyn DatabaseError>);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (shown(&*self.0), number(&*self.0)) {
            (Some(message), _) => f.write_str(message)?,
            (None, Some(number)) => write!(f, "error {number} of the server")?,
            (None, None) => f.write_str("an error of the database")?,
        }
        self.0.code().map_or(Ok(()), |code| write!(f, " (code {code})"))
    }
}

impl fmt::Debug for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl StdError for Quiet {}

impl DatabaseError for Quiet {
    fn message(&self) -> &str {
        shown(&*self.0).unwrap_or("the database's message may quote values and is left out")
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.0.code()
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self.0.as_error()
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self.0.as_error_mut()
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self.0.into_error()
    }

    fn is_transient_in_connect_phase(&self) -> bool {
        self.0.is_transient_in_connect_phase()
    }

    fn constraint(&self) -> Option<&str> {
        self.0.constraint()
    }

    fn table(&self) -> Option<&str> {
        self.0.table()
    }

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}

#[cfg(feature = "mysql")]
use crate::mysql_error::number;

#[cfg(not(feature = "mysql"))]
fn number(_: &dyn DatabaseError) -> Option<u16> {
    None
}

/// The message, where it names tables, columns and constraints alone.
fn shown(error: &dyn DatabaseError) -> Option<&str> {
    ours(error).or_else(|| postgres(error)).or_else(|| sqlite(error))
}

/// What triggers say that this crate wrote.
fn ours(error: &dyn DatabaseError) -> Option<&str> {
    Some(error.message()).filter(|message| [REFUSAL, UNFIT, NOT_SEALED].contains(message))
}

/// Its values are in the details, and in the messages about values that have the wrong form: class 22. That about
/// the syntax quotes the statement, and those of `RAISE` are whatever their author wrote.
#[cfg(feature = "postgres")]
fn postgres(error: &dyn DatabaseError) -> Option<&str> {
    /// Appendix A of Postgres' manual: connections, constraints, transaction states, syntax and names, resources,
    /// objects, operators.
    const NAMES_NO_VALUES: [&str; 8] = ["08", "23", "25", "40", "42", "53", "55", "57"];
    let error = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    const SYNTAX_ERROR: &str = "42601";
    let is_known = NAMES_NO_VALUES.iter().any(|class| error.code().starts_with(class));
    let quotes = error.code() == SYNTAX_ERROR || error.routine() == Some("exec_stmt_raise");
    (is_known && !quotes).then(|| error.message())
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &dyn DatabaseError) -> Option<&str> {
    None
}

/// Functions of JSON and of the full-text search quote what they can't read, and a trigger's `RAISE` says
/// whatever its author wrote.
#[cfg(feature = "sqlite")]
fn sqlite(error: &dyn DatabaseError) -> Option<&str> {
    const CONSTRAINT: i32 = 19;
    const CONSTRAINT_TRIGGER: i32 = 1811;
    const ERROR: i32 = 1;
    let error = error.try_downcast_ref::<sqlx::sqlite::SqliteError>()?;
    let code: i32 = DatabaseError::code(error)?.parse().ok()?;
    let message = DatabaseError::message(error);
    match (code & 0xff, code) {
        (CONSTRAINT, CONSTRAINT_TRIGGER) => None,
        (ERROR, _) => message.starts_with("no such ").then_some(message),
        // those of the other codes are fixed, or name columns
        _ => Some(message),
    }
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &dyn DatabaseError) -> Option<&str> {
    None
}

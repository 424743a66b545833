//! Errors of MySQL and MariaDB, whose messages quote values: `Duplicate entry 'ada@example.com' for key ..`.

use std::{borrow::Cow, error::Error as StdError, fmt};

use sqlx::{
    error::{DatabaseError, ErrorKind},
    mysql::MySqlDatabaseError,
};

/// The server's number for the error: finer than its SQLSTATE.
pub(crate) fn number(error: &dyn DatabaseError) -> Option<u16> {
    error.try_downcast_ref::<MySqlDatabaseError>().map(MySqlDatabaseError::number)
}

/// What happened and what to do about it, where the number alone would leave people puzzled.
pub(crate) fn explained(error: &dyn DatabaseError) -> Option<(&'static str, &'static str)> {
    match number(error)? {
        1153 => Some((
            "the statement is larger than the server's `max_allowed_packet`",
            "raise it on the server, or store less in one row",
        )),
        1406 => Some((
            "a value is too long for its column",
            "sealed values are longer than their plaintext: make the column `text` or `mediumtext`",
        )),
        _ => None,
    }
}

/// The same error without the server's message. Who asks for [`MySqlDatabaseError`] gets it with the message.
pub(crate) fn quiet(error: sqlx::Error) -> sqlx::Error {
    match error {
        sqlx::Error::Database(database) if number(&*database).is_some() => {
            sqlx::Error::Database(Box::new(Quiet(database)))
        }
        other => other,
    }
}

struct Quiet(Box<dyn DatabaseError>);

impl fmt::Display for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match number(&*self.0) {
            Some(number) => write!(f, "error {number} of the server")?,
            None => f.write_str("an error of the server")?,
        }
        self.0.code().map_or(Ok(()), |code| write!(f, " (SQLSTATE {code})"))
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
        "the server's message may quote values and is left out"
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

    fn kind(&self) -> ErrorKind {
        self.0.kind()
    }
}

//! Errors of MySQL and MariaDB.

use sqlx::{error::DatabaseError, mysql::MySqlDatabaseError};

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

/// The key that has the value already. The value stands before it in the message, and may be any text.
pub(crate) fn key_of_duplicate(message: &str) -> &str {
    message.rsplit_once(" for key ").map_or("", |(_, key)| key)
}

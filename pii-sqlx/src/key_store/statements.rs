//! The statements of the key store. All columns are read as text.

use std::sync::Arc;

use pii_core::{Error, ErrorKind, KeyId, KeyRecord, Result};
use sqlx::error::BoxDynError;

use super::row::{Columns, Stored};
use crate::{dialect::Dialect, statement::Statement};

/// In the order in which [`Stored`] reads them.
const SELECTED: [&str; 10] =
    ["key_id", "keyring", "purpose", "epoch", "state", "created", "context", "slot", "election", "copies"];

pub(super) fn by_key_id<DB: Dialect>(table: &str, key_id: KeyId) -> Result<Statement<DB>> {
    let mut statement = select(table);
    statement.push(" WHERE key_id = ");
    bind(&mut statement, key_id.to_string())?;
    Ok(statement)
}

pub(super) fn by_election<DB: Dialect>(table: &str, election: &str) -> Result<Statement<DB>> {
    let mut statement = select(table);
    statement.push(" WHERE election = ");
    bind(&mut statement, election)?;
    Ok(statement)
}

/// The winner of the highest epoch. An election is `<slot>-<epoch in hex>`, and `.` comes after `-`: this
/// is a range of the unique index.
pub(super) fn latest<DB: Dialect>(table: &str, slot: &str) -> Result<Statement<DB>> {
    let mut statement = select(table);
    statement.push(" WHERE election ");
    statement.push(DB::BY_BYTES);
    statement.push(" > ");
    bind(&mut statement, format!("{slot}-"))?;
    statement.push(" AND election ");
    statement.push(DB::BY_BYTES);
    statement.push(" < ");
    bind(&mut statement, format!("{slot}."))?;
    statement.push(" ORDER BY election ");
    statement.push(DB::BY_BYTES);
    statement.push(" DESC LIMIT 1");
    Ok(statement)
}

pub(super) fn page<DB: Dialect>(table: &str, after: Option<KeyId>, limit: usize) -> Result<Statement<DB>> {
    let mut statement = select(table);
    statement.push(" WHERE ");
    statement.push(DB::IS_KEY_ID);
    if let Some(after) = after {
        statement.push(" AND key_id ");
        statement.push(DB::BY_BYTES);
        statement.push(" > ");
        bind(&mut statement, after.to_string())?;
    }
    statement.push(" ORDER BY key_id ");
    statement.push(DB::BY_BYTES);
    statement.push(" LIMIT ");
    statement.bind_number(i64::try_from(limit).unwrap_or(i64::MAX)).map_err(not_bound)?;
    Ok(statement)
}

/// Elects and keeps in one step: where the key id or the election is taken, nothing happens.
pub(super) fn insert<DB: Dialect>(
    table: &str,
    record: &KeyRecord,
    election: Option<String>,
) -> Result<Statement<DB>> {
    let columns = Columns::of(record)?;
    let mut statement = Statement::new("INSERT INTO ");
    statement.push(table);
    statement
        .push(" (key_id, keyring, purpose, state, created, context, slot, copies, election, epoch) VALUES (");
    let texts = [
        columns.key_id,
        columns.keyring,
        columns.purpose,
        columns.state,
        columns.created,
        columns.context,
        columns.slot,
        columns.copies,
    ];
    for text in texts {
        bind(&mut statement, text)?;
        statement.push(", ");
    }
    statement.bind_text(election.map(Arc::from)).map_err(not_bound)?;
    statement.push(", ");
    statement.bind_number(record.epoch.into()).map_err(not_bound)?;
    statement.push(") ");
    statement.push(DB::UNLESS_TAKEN);
    Ok(statement)
}

/// Makes a key that is there the winner, unless there is one.
pub(super) fn crown<DB: Dialect>(table: &str, key_id: KeyId, election: &str) -> Result<Statement<DB>> {
    let mut statement = Statement::new("UPDATE ");
    statement.push(table);
    statement.push(" SET election = ");
    bind(&mut statement, election)?;
    statement.push(" WHERE key_id = ");
    bind(&mut statement, key_id.to_string())?;
    statement.push(" AND election IS NULL");
    Ok(statement)
}

/// Puts state and copies of `new` in the place of those that were read.
pub(super) fn replace<DB: Dialect>(table: &str, current: &Stored, new: &KeyRecord) -> Result<Statement<DB>> {
    let columns = Columns::of(new)?;
    let mut statement = Statement::new("UPDATE ");
    statement.push(table);
    statement.push(" SET state = ");
    bind(&mut statement, columns.state)?;
    statement.push(", copies = ");
    bind(&mut statement, columns.copies)?;
    statement.push(" WHERE key_id = ");
    bind(&mut statement, columns.key_id)?;
    statement.push(" AND state = ");
    bind(&mut statement, current.state.as_str())?;
    statement.push(" AND copies = ");
    bind(&mut statement, current.copies.as_str())?;
    Ok(statement)
}

/// Fails if the table or one of its columns is missing.
pub(super) fn probe<DB: Dialect>(table: &str) -> Statement<DB> {
    let mut statement = select(table);
    statement.push(" LIMIT 0");
    statement
}

pub(super) fn create<DB: Dialect>(table: &str) -> Statement<DB> {
    let mut statement = Statement::new("CREATE TABLE IF NOT EXISTS ");
    statement.push(table);
    statement.push(" (");
    statement.push(DB::COLUMNS);
    statement.push(")");
    statement.push(DB::TABLE_OPTIONS);
    statement.once()
}

fn select<DB: Dialect>(table: &str) -> Statement<DB> {
    let mut statement = Statement::new("SELECT ");
    statement.push_each(SELECTED, |statement, name| {
        for part in ["CAST(", name, " AS ", DB::TEXT, ")"] {
            statement.push(part);
        }
    });
    statement.push(" FROM ");
    statement.push(table);
    statement
}

fn bind<DB: Dialect>(statement: &mut Statement<DB>, text: impl Into<Arc<str>>) -> Result<()> {
    statement.bind_text(Some(text.into())).map_err(not_bound)
}

fn not_bound(_: BoxDynError) -> Error {
    Error::new(ErrorKind::KeyUnavailable).message("a key record cannot be sent to the database")
}

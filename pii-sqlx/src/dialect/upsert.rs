//! What an upsert does where the id is taken.

use super::Dialect;
use crate::statement::Statement;

/// The columns of an upsert.
pub struct Upsert<'a> {
    /// those of the id, at least one
    pub(crate) ids: Vec<&'static str>,
    /// the others, which get the new row's values; the version is counted up instead
    pub(crate) others: Vec<&'static str>,
    pub(crate) version: Option<&'static str>,
    /// those in which the stored row must be like the new one, if it is to change
    pub(crate) scope: &'a [&'static str],
}

/// What became of an upsert.
pub enum Upserted {
    Written,
    /// A row that is there was left as it is.
    LeftAlone,
    /// The same, and why the new row could not be inserted, where the database does not say which row it is.
    Refused(sqlx::Error),
}

impl Upserted {
    pub(super) fn of(rows: u64) -> Self {
        if rows == 0 { Self::LeftAlone } else { Self::Written }
    }
}

/// The name of the stored row for [`push_on_conflict`].
pub(super) const STORED: &str = " AS pii_stored";

/// ` ON CONFLICT ("id") DO UPDATE SET "a" = excluded."a", "version" = pii_stored."version" + 1`
/// and ` WHERE pii_stored."tenant" = excluded."tenant"` for columns of the scope.
pub(super) fn push_on_conflict<DB: Dialect>(statement: &mut Statement<DB>, upsert: &Upsert<'_>) {
    statement.push(" ON CONFLICT (");
    statement.push_names(upsert.ids.iter().copied());
    statement.push(") DO ");
    if upsert.others.is_empty() {
        statement.push("NOTHING");
        return;
    }
    statement.push("UPDATE SET ");
    statement.push_each(upsert.others.iter().copied(), |statement, name| {
        statement.push_name(name);
        statement.push(" = ");
        if Some(name) == upsert.version {
            statement.push("pii_stored.");
            statement.push_name(name);
            statement.push(" + 1");
        } else {
            statement.push("excluded.");
            statement.push_name(name);
        }
    });
    for (index, name) in upsert.scope.iter().enumerate() {
        statement.push(if index > 0 { " AND " } else { " WHERE " });
        statement.push("pii_stored.");
        statement.push_name(name);
        statement.push(" = excluded.");
        statement.push_name(name);
    }
}

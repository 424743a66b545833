//! The id of a row that was inserted.

use sqlx::Database;

/// What the database tells of it.
pub enum Returned<DB: Database> {
    /// a row whose first column is the id
    Row(DB::Row),
    /// the number that it made up, if it did
    Number(Option<i64>),
    /// that there is no new row
    Nothing,
}

//! The rows of a page, of which some may not be readable, or not be in the scope: they must not hold up the others.

use pii_core::{Error, Result};
use sqlx::FromRow;

use super::page::Cursor;
use crate::{
    dialect::Dialect,
    error::{self, sqlx_error},
    model::SqlModel,
    table::{SqlTable, failed},
};

/// What was found.
pub(crate) struct Found<T, M, I> {
    pub(crate) rows: Vec<T>,
    /// why others could not be read; each names the row, as far as its id can be read
    pub(crate) failures: Vec<Error>,
    /// how many are outside the scope, where the statement could not leave them out
    outside: usize,
    pub(crate) end: End<M, I>,
}

/// The last row that was found.
pub(crate) enum End<M, I> {
    /// is the last one of `rows`, if there is any
    Read,
    /// is outside the scope
    Outside(M),
    /// could not be read, but its id could
    Unread(I),
    /// could not be read, nor could its id
    Unknown(Error),
}

impl<T, M, I> Found<T, M, I> {
    /// How many rows there were in the scope, as far as it can be told.
    pub(crate) fn count(&self) -> usize {
        self.rows.len() + self.failures.len()
    }

    /// Whether there were as many rows as were asked for, so that there may be more.
    pub(crate) fn is_full(&self, asked_for: u32) -> bool {
        self.count() + self.outside >= asked_for as usize
    }
}

impl<M, I> End<M, I> {
    /// Where to go on after these rows. Takes the last one of them.
    ///
    /// # Errors
    /// That of the last row, if it can't be told where that was.
    pub(crate) fn next(self, rows: &mut Vec<M>) -> Result<Option<Cursor<M, I>>> {
        match self {
            Self::Read => Ok(rows.pop().map(Cursor::AfterRow)),
            Self::Outside(row) => Ok(Some(Cursor::AfterRow(row))),
            Self::Unread(id) => Ok(Some(Cursor::After(id))),
            Self::Unknown(error) => Err(error),
        }
    }
}

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row>,
    DB: Dialect,
{
    /// Reads each row for itself, to a model with something beside it. Rows outside the scope are left out; of one
    /// that can't be read it is not known.
    ///
    /// # Errors
    /// What is wrong with all rows: a column that is missing.
    pub(crate) fn read_each<T>(
        &self,
        rows: &[DB::Row],
        read: impl Fn(&DB::Row) -> Result<(M, T)>,
    ) -> Result<Found<(M, T), M, M::Id>> {
        let columns_tell_scope = self.columns_tell_scope()?;
        let is_inside =
            |model: &M| -> Result<bool> { Ok(columns_tell_scope || self.cryptor().is_in_scope(model)?) };
        let mut found =
            Found { rows: Vec::with_capacity(rows.len()), failures: Vec::new(), outside: 0, end: End::Read };
        for row in rows {
            let read = read(row).and_then(|(model, beside)| Ok((is_inside(&model)?, model, beside)));
            let error = match read {
                Ok((true, model, beside)) => {
                    found.rows.push((model, beside));
                    found.end = End::Read;
                    continue;
                }
                Ok((false, model, _)) => {
                    found.outside += 1;
                    found.end = End::Outside(model);
                    continue;
                }
                Err(error) if is_of_all_rows(&error) => return Err(error),
                Err(error) => error::of::<M>(error),
            };
            let (error, end) = match M::read_id(row).map(|id| id.map_err(failed::<M>)) {
                Some(Ok(id)) => (error.row(self.written(|out| M::write_id(&id, out))), End::Unread(id)),
                Some(Err(of_id)) => (error, End::Unknown(stopped(of_id))),
                None => (error.clone(), End::Unknown(stopped(error))),
            };
            found.failures.push(error);
            found.end = end;
        }
        Ok(found)
    }
}

fn is_of_all_rows(error: &Error) -> bool {
    matches!(
        sqlx_error(error),
        Some(sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. })
    )
}

fn stopped(error: Error) -> Error {
    error.help(
        "the job can't go on after this row, whose id it can't read: correct the row; with `#[pii(from_row)]` on \
         the model, ids are read apart from the other columns",
    )
}

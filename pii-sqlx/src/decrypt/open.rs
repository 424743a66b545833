//! From the rows of a query to opened models.

use std::vec;

use pii_core::{Cryptor, Error, FieldSelection, Opening, PiiRow, Result, Wanted};

use crate::error;

/// Refuses what would be refused for every row, before the query is sent.
pub(super) async fn check<R: PiiRow + Send>(cryptor: &Cryptor, fields: &FieldSelection) -> Result<()> {
    cryptor.open_each::<R>(&mut [], fields).await.map(drop).map_err(error::of_row::<R>)
}

/// Opens these rows in one batch; one that fails, fails all.
pub(super) async fn open_all<R: PiiRow + Send>(
    cryptor: &Cryptor,
    fields: &FieldSelection,
    mut rows: Vec<R>,
) -> Result<Vec<R>> {
    let opening = cryptor.open_each(&mut rows, fields).await.map_err(error::of_row::<R>)?;
    opening.into_iter().collect::<Result<()>>()?;
    Ok(rows)
}

/// Opens those rows that were decoded in one batch, and says for each what became of it, in order.
pub(super) async fn open_each<R: PiiRow + Send>(
    cryptor: &Cryptor,
    wanted: &Wanted,
    loaded: Loaded<R>,
) -> Result<Batch<R>> {
    let Loaded { mut rows, failed } = loaded;
    let opening = cryptor.open_wanted(&mut rows, wanted).await.map_err(error::of_row::<R>)?;
    Ok(Batch::of(rows, opening, failed))
}

pub(super) fn failed<R: PiiRow>(error: sqlx::Error) -> Error {
    error::of_query::<R>(error)
}

/// Rows that were decoded, and those that could not be.
pub(super) struct Loaded<R> {
    pub(super) rows: Vec<R>,
    /// with their places among all
    pub(super) failed: Vec<(usize, Error)>,
}

impl<R> Default for Loaded<R> {
    fn default() -> Self {
        Self { rows: Vec::new(), failed: Vec::new() }
    }
}

impl<R> Loaded<R> {
    pub(super) fn with_capacity(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), failed: Vec::new() }
    }

    pub(super) fn push(&mut self, row: Result<R>) {
        match row {
            Ok(row) => self.rows.push(row),
            Err(error) => self.failed.push((self.len(), error)),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.failed.len()
    }
}

/// Rows that were opened, each with what became of it, in order.
pub(super) struct Batch<R> {
    rows: vec::IntoIter<R>,
    opening: vec::IntoIter<Result<()>>,
    /// rows that could not be decoded, with their places among all, the first one last
    failed: Vec<(usize, Error)>,
    next: usize,
}

impl<R> Batch<R> {
    pub(super) fn of(rows: Vec<R>, opening: Opening, mut failed: Vec<(usize, Error)>) -> Self {
        failed.reverse();
        Self { rows: rows.into_iter(), opening: opening.into_iter(), failed, next: 0 }
    }

    pub(super) fn of_error(error: Error) -> Self {
        Self { failed: vec![(0, error)], ..Self::default() }
    }
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: vec::IntoIter::default(),
            opening: vec::IntoIter::default(),
            failed: Vec::new(),
            next: 0,
        }
    }
}

impl<R> Iterator for Batch<R> {
    type Item = Result<R>;

    fn next(&mut self) -> Option<Result<R>> {
        let at = self.next;
        self.next += 1;
        if let Some((_, error)) = self.failed.pop_if(|(place, _)| *place == at) {
            return Some(Err(error));
        }
        let (row, opening) = (self.rows.next()?, self.opening.next()?);
        Some(opening.map(|()| row))
    }
}

//! From the rows of a query to opened models.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use futures_core::stream::{BoxStream, Stream};
use futures_util::{StreamExt as _, stream};
use pii_core::{Cryptor, Error, FieldSelection, PiiRow, Result};

use super::CHUNK;
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
    fields: &FieldSelection,
    loaded: Loaded<R>,
) -> Result<Batch<R>> {
    let Loaded { mut rows, mut failed } = loaded;
    let opening = cryptor.open_each(&mut rows, fields).await.map_err(error::of_row::<R>)?;
    failed.reverse();
    Ok(Batch { rows: rows.into_iter(), opening: opening.into_iter(), failed, next: 0 })
}

/// Rows that were decoded, and those that could not be.
pub(super) struct Loaded<R> {
    rows: Vec<R>,
    /// with their places among all
    failed: Vec<(usize, Error)>,
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

    fn len(&self) -> usize {
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
    fn of_error(error: Error) -> Self {
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

/// How rows are read and opened.
pub(crate) struct Reading<'e, T, R> {
    pub(crate) decode: fn(T) -> sqlx::Result<R>,
    /// Whether a row is decoded when it comes, and not together with its batch.
    ///
    /// sqlx's thread for SQLite is woken for each row that is taken from it while it waits, and would wait again at
    /// once if something were done in between. Other drivers read into memory that they use again once a row is gone.
    pub(crate) decodes_at_once: bool,
    pub(crate) cryptor: &'e Cryptor,
    pub(crate) fields: FieldSelection,
    /// how many rows are opened together
    pub(crate) chunk: usize,
    /// whether the stream ends after its first error
    pub(crate) until_error: bool,
}

/// Opens the rows of a stream in batches, the last one of what is left. What makes opening impossible for all
/// rows ends the stream.
pub(crate) fn open_stream<'e, T, R>(
    rows: BoxStream<'e, sqlx::Result<T>>,
    reading: Reading<'e, T, R>,
) -> BoxStream<'e, Result<R>>
where
    T: Send + 'e,
    R: PiiRow + Send + 'e,
{
    let until_error = reading.until_error;
    let opening = Opening { rows, reading, is_checked: false, is_over: false };
    let batches = stream::unfold(Some(opening), |opening| async {
        let mut opening = opening?;
        match opening.next().await {
            Ok(opened) => Some((opened?, Some(opening))),
            Err(error) => Some((Batch::of_error(error), None)),
        }
    });
    OneByOne { batches: batches.boxed(), now: Batch::default(), until_error, is_over: false }.boxed()
}

/// The rows of batches.
struct OneByOne<'e, R> {
    batches: BoxStream<'e, Batch<R>>,
    now: Batch<R>,
    until_error: bool,
    is_over: bool,
}

/// Nothing in it is pinned but the batches, which are in a box.
impl<R> Unpin for OneByOne<'_, R> {}

impl<R> Stream for OneByOne<'_, R> {
    type Item = Result<R>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<R>>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.now.next() {
                if row.is_err() && this.until_error {
                    (this.now, this.is_over) = (Batch::default(), true);
                }
                return Poll::Ready(Some(row));
            }
            if this.is_over {
                return Poll::Ready(None);
            }
            match ready!(this.batches.as_mut().poll_next(cx)) {
                Some(batch) => this.now = batch,
                None => this.is_over = true,
            }
        }
    }
}

/// The batches are whole, though smaller ones could be given earlier: to learn that no further row is there yet,
/// sqlx would have to be asked for it, and when the stream is dropped then, sqlx 0.9 loses its place in what
/// MySQL sends.
struct Opening<'e, T, R> {
    rows: BoxStream<'e, sqlx::Result<T>>,
    reading: Reading<'e, T, R>,
    is_checked: bool,
    is_over: bool,
}

impl<T, R: PiiRow + Send> Opening<'_, T, R> {
    async fn next(&mut self) -> Result<Option<Batch<R>>> {
        // the query is sent when the first batch is asked for
        if !self.is_checked {
            check::<R>(self.reading.cryptor, &self.reading.fields).await?;
            self.is_checked = true;
        }
        let loaded = self.load().await;
        if loaded.len() == 0 {
            return Ok(None);
        }
        open_each(self.reading.cryptor, &self.reading.fields, loaded).await.map(Some)
    }

    /// The rows of the next batch; none at the end.
    async fn load(&mut self) -> Loaded<R> {
        let Reading { decode, decodes_at_once, chunk, .. } = self.reading;
        let mut loaded = Loaded::with_capacity(chunk.min(CHUNK));
        let mut rows = Vec::new();
        while !self.is_over && loaded.len() + rows.len() < chunk {
            match self.rows.next().await {
                Some(row) if decodes_at_once => loaded.push(row.and_then(decode).map_err(failed::<R>)),
                Some(row) => rows.push(row),
                None => self.is_over = true,
            }
        }
        rows.into_iter().for_each(|row| loaded.push(row.and_then(decode).map_err(failed::<R>)));
        loaded
    }
}

pub(super) fn failed<R: PiiRow>(error: sqlx::Error) -> Error {
    error::of_query::<R>(error)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use pii_core::ErrorKind;

    use super::*;

    /// Rows of one model, whose batch holds a good row, one that did not open, one that was not decoded, and two good
    /// ones.
    fn rows(until_error: bool) -> Vec<std::result::Result<u8, ErrorKind>> {
        let batches = (0..2).map(|_| Batch {
            rows: vec![1, 2, 4, 5].into_iter(),
            opening: vec![Ok(()), Err(Error::new(ErrorKind::Integrity)), Ok(()), Ok(())].into_iter(),
            failed: vec![(2, Error::new(ErrorKind::Malformed))],
            next: 0,
        });
        let batches = stream::iter(batches).boxed();
        let mut rows = OneByOne { batches, now: Batch::default(), until_error, is_over: false };
        let given = rows.by_ref().collect::<Vec<_>>().now_or_never().unwrap();
        assert!(rows.next().now_or_never().unwrap().is_none());
        given.into_iter().map(|row| row.map_err(|error| error.kind())).collect()
    }

    #[test]
    fn rows_come_in_their_order() {
        let batch = [Ok(1), Err(ErrorKind::Integrity), Err(ErrorKind::Malformed), Ok(4), Ok(5)];
        assert_eq!(rows(false), [batch, batch].concat());
    }

    #[test]
    fn a_stream_ends_after_its_first_error() {
        assert_eq!(rows(true), [Ok(1), Err(ErrorKind::Integrity)]);
    }
}

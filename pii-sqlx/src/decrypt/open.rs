//! From the rows of a query to opened models.

use std::{
    collections::VecDeque,
    future::poll_fn,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use futures_core::stream::{BoxStream, Stream};
use futures_util::{StreamExt as _, stream};
use pii_core::{Cryptor, Error, FieldSelection, OpeningAhead, PiiRow, Result, Wanted};

use super::CHUNK;
use crate::error;

/// So many batches of a stream are on their way at once: one that is being opened, and enough behind it that no
/// thread runs out of work before the next one is read.
const AHEAD: usize = 4;

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

/// Rows that were decoded, and those that could not be.
pub(super) struct Loaded<R> {
    rows: Vec<R>,
    /// with their places among all
    failed: Vec<(usize, Error)>,
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
    fn of(rows: Vec<R>, opening: pii_core::Opening, mut failed: Vec<(usize, Error)>) -> Self {
        failed.reverse();
        Self { rows: rows.into_iter(), opening: opening.into_iter(), failed, next: 0 }
    }

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

/// How rows are read, opened and given.
pub(crate) struct Reading<'e, T, R, V> {
    pub(crate) decode: fn(T) -> sqlx::Result<R>,
    /// Whether a row is decoded when it comes, and not together with its batch.
    ///
    /// sqlx's thread for SQLite is woken for each row that is taken from it while it waits, and would wait again at
    /// once if something were done in between. Other drivers read into memory that they use again once a row is gone.
    pub(crate) decodes_at_once: bool,
    pub(crate) cryptor: &'e Cryptor,
    pub(crate) wanted: Wanted,
    /// what is given of a row that was opened
    pub(crate) show: fn(R) -> Result<V>,
    /// how many rows are opened together
    pub(crate) chunk: usize,
    /// whether the stream ends after its first error
    pub(crate) until_error: bool,
}

/// Opens the rows of a stream in batches, the last one of what is left, on other threads while the next ones are
/// read. What makes opening impossible for all rows ends the stream.
pub(crate) fn open_stream<'e, T, R, V>(
    rows: BoxStream<'e, sqlx::Result<T>>,
    reading: Reading<'e, T, R, V>,
) -> BoxStream<'e, Result<V>>
where
    T: Send + 'e,
    R: PiiRow + Send + 'static,
    V: 'e,
{
    let (show, until_error) = (reading.show, reading.until_error);
    let batches = stream::unfold(Some(Batches::new(rows, reading)), |batches| async {
        let mut batches = batches?;
        match batches.next().await {
            Ok(batch) => Some((batch?, Some(batches))),
            Err(error) => Some((Batch::of_error(error), None)),
        }
    });
    OneByOne { batches: batches.boxed(), now: Batch::default(), show, until_error, is_over: false }.boxed()
}

/// The rows of batches.
struct OneByOne<'e, R, V> {
    batches: BoxStream<'e, Batch<R>>,
    now: Batch<R>,
    show: fn(R) -> Result<V>,
    until_error: bool,
    is_over: bool,
}

/// Nothing in it is pinned but the batches, which are in a box.
impl<R, V> Unpin for OneByOne<'_, R, V> {}

impl<R, V> Stream for OneByOne<'_, R, V> {
    type Item = Result<V>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<V>>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.now.next() {
                let row = row.and_then(this.show);
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
struct Batches<'e, T, R, V> {
    rows: BoxStream<'e, sqlx::Result<T>>,
    reading: Reading<'e, T, R, V>,
    /// what was read of the next batch
    came: Came<T, R>,
    /// those that are being opened, in order
    ahead: VecDeque<Ahead<R>>,
    has_begun: bool,
    is_over: bool,
}

/// Rows that came, one kind or the other.
struct Came<T, R> {
    rows: Vec<sqlx::Result<T>>,
    loaded: Loaded<R>,
}

/// A batch that is being opened.
struct Ahead<R> {
    opening: OpeningAhead<R>,
    failed: Vec<(usize, Error)>,
}

impl<'e, T, R: PiiRow + Send + 'static, V> Batches<'e, T, R, V> {
    fn new(rows: BoxStream<'e, sqlx::Result<T>>, reading: Reading<'e, T, R, V>) -> Self {
        let came = Came { rows: Vec::new(), loaded: Loaded::default() };
        Self { rows, reading, came, ahead: VecDeque::with_capacity(AHEAD), has_begun: false, is_over: false }
    }

    async fn next(&mut self) -> Result<Option<Batch<R>>> {
        if !self.has_begun {
            self.has_begun = true;
            return self.first().await;
        }
        while !self.is_over && self.ahead.len() < AHEAD && self.is_read().await {
            let Loaded { rows, failed } = self.load();
            if rows.len() + failed.len() > 0 {
                let opening = self.reading.cryptor.open_ahead(rows, &self.reading.wanted);
                self.ahead.push_back(Ahead { opening, failed });
            }
        }
        let Some(Ahead { opening, failed }) = self.ahead.pop_front() else { return Ok(None) };
        let (rows, opening) = opening.await;
        Ok(Some(Batch::of(rows, opening.map_err(error::of_row::<R>)?, failed)))
    }

    /// The first batch needs no other thread: it may be all that is wanted. The query is sent when it is asked
    /// for, and whatever keys it needs are at hand for the next ones.
    async fn first(&mut self) -> Result<Option<Batch<R>>> {
        let Reading { cryptor, ref wanted, .. } = self.reading;
        check::<R>(cryptor, wanted.always()).await?;
        self.is_read().await;
        let loaded = self.load();
        if loaded.len() == 0 {
            return Ok(None);
        }
        open_each(self.reading.cryptor, &self.reading.wanted, loaded).await.map(Some)
    }

    /// Reads the rows of the next batch. Leaves off before the last one if rows are long in coming and an earlier
    /// batch can be given meanwhile.
    async fn is_read(&mut self) -> bool {
        let Reading { decode, decodes_at_once, chunk, .. } = self.reading;
        let Came { rows, loaded } = &mut self.came;
        let mut has_waited = false;
        while !self.is_over && loaded.len() + rows.len() < chunk {
            let next = poll_fn(|cx| {
                let next = self.rows.as_mut().poll_next(cx);
                has_waited |= next.is_pending();
                next
            });
            match next.await {
                Some(row) if decodes_at_once => loaded.push(row.and_then(decode).map_err(failed::<R>)),
                Some(row) => rows.push(row),
                None => self.is_over = true,
            }
            if has_waited && self.ahead.front_mut().is_some_and(|batch| batch.opening.is_back()) {
                return false;
            }
        }
        true
    }

    /// The rows that came, which are decoded now if they were not.
    fn load(&mut self) -> Loaded<R> {
        let chunk = self.reading.chunk.min(CHUNK);
        let Came { rows, loaded } = &mut self.came;
        let mut loaded = mem::replace(loaded, Loaded::with_capacity(chunk));
        let decode = self.reading.decode;
        rows.drain(..).for_each(|row| loaded.push(row.and_then(decode).map_err(failed::<R>)));
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
        let mut rows = OneByOne { batches, now: Batch::default(), show: Ok, until_error, is_over: false };
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

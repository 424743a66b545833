//! Rows that come one after the other, and are opened in batches.

#[cfg(test)]
mod tests;

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::stream::{BoxStream, Stream};
use futures_util::{StreamExt as _, stream};
use pii_core::{Cryptor, PiiRow, Result, Wanted};

use super::{ahead::Batches, open::Batch};

/// How rows are read, opened and given.
pub(crate) struct Reading<'e, T, R, V> {
    pub(crate) decode: fn(T) -> sqlx::Result<R>,
    /// Whether a row is decoded when it comes, and not together with its batch.
    ///
    /// sqlx's thread for SQLite is woken for each row that is taken from it while it waits, and would wait again at
    /// once if something were done in between. Other drivers read into memory that they use again once a row is gone.
    pub(crate) decodes_at_once: bool,
    /// Whether the stream may be dropped while it waits for a row. On MySQL sqlx 0.9 would lose its place in what
    /// the server sends.
    pub(crate) may_rest: bool,
    /// Whether a row is one of those that are asked for.
    pub(crate) keep: fn(&Cryptor, &R) -> Result<bool>,
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

impl<'e, R: Send + 'e, V> Stream for OneByOne<'e, R, V> {
    type Item = Result<V>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<V>>> {
        let this = self.get_mut();
        loop {
            if let Some(row) = this.now.next() {
                let row = row.and_then(this.show);
                if row.is_err() && this.until_error {
                    // the connection is free, and nothing more is opened
                    this.batches = stream::empty().boxed();
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

//! Batches of a stream that are read and opened ahead.

use std::{collections::VecDeque, future::poll_fn, mem, task::Poll};

use futures_core::stream::BoxStream;
use pii_core::{Error, OpeningAhead, PiiRow, Result};

use super::{
    CHUNK,
    open::{Batch, Loaded, check, failed, open_each},
    stream::Reading,
};
use crate::error;

/// So many batches of a stream are in memory at once: one whose rows are taken, and enough behind it that no thread
/// runs out of work before the next one is read.
pub(super) const AHEAD: usize = 4;

/// Rows in batches, which are opened on other threads while the next ones are read.
///
/// The batches are whole, though smaller ones could be given earlier. What is given while rows are long in coming is
/// an earlier batch; see [`Reading::may_rest`].
pub(super) struct Batches<'e, T, R, V> {
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
    pub(super) fn new(rows: BoxStream<'e, sqlx::Result<T>>, reading: Reading<'e, T, R, V>) -> Self {
        let came = Came { rows: Vec::new(), loaded: Loaded::default() };
        Self { rows, reading, came, ahead: VecDeque::with_capacity(AHEAD), has_begun: false, is_over: false }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Batch<R>>> {
        if !self.has_begun {
            self.has_begun = true;
            return self.first().await;
        }
        while self.is_more_wanted() && self.is_read().await {
            if let Some(Loaded { rows, failed }) = self.load() {
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
        while !self.is_over && self.is_read().await {
            if let Some(loaded) = self.load() {
                return open_each(cryptor, &self.reading.wanted, loaded).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Nothing is read ahead of a batch that no other thread opens meanwhile.
    fn is_more_wanted(&self) -> bool {
        let is_worth_it = |front: &Ahead<R>| self.ahead.len() < AHEAD && front.opening.is_elsewhere();
        !self.is_over && self.ahead.front().is_none_or(is_worth_it)
    }

    /// Reads the rows of the next batch. Leaves off before the last one if rows are long in coming and an earlier
    /// batch can be given meanwhile.
    async fn is_read(&mut self) -> bool {
        let Self { rows, reading, came, ahead, is_over, .. } = self;
        let mut has_waited = false;
        while came.len() < reading.chunk {
            let next = poll_fn(|cx| {
                if let Poll::Ready(next) = rows.as_mut().poll_next(cx) {
                    return Poll::Ready(Some(next));
                }
                has_waited = true;
                match ahead.front_mut().filter(|_| reading.may_rest) {
                    Some(front) => front.opening.poll_back(cx).map(|()| None),
                    None => Poll::Pending,
                }
            });
            match next.await {
                Some(Some(row)) => came.push(row, reading),
                Some(None) => {
                    *is_over = true;
                    return true;
                }
                None => return false,
            }
            if has_waited && ahead.front_mut().is_some_and(|front| front.opening.is_back()) {
                return false;
            }
        }
        true
    }

    /// The rows that came, which are decoded now if they were not.
    fn load(&mut self) -> Option<Loaded<R>> {
        let Came { rows, loaded } = &mut self.came;
        let next = match self.is_over {
            true => Loaded::default(),
            false => Loaded::with_capacity(self.reading.chunk.min(CHUNK)),
        };
        let mut loaded = mem::replace(loaded, next);
        rows.drain(..).for_each(|row| load(row, &mut loaded, &self.reading));
        (loaded.len() > 0).then_some(loaded)
    }
}

impl<T, R: PiiRow> Came<T, R> {
    fn len(&self) -> usize {
        self.rows.len() + self.loaded.len()
    }

    fn push<V>(&mut self, row: sqlx::Result<T>, reading: &Reading<'_, T, R, V>) {
        match reading.decodes_at_once {
            true => load(row, &mut self.loaded, reading),
            false => self.rows.push(row),
        }
    }
}

fn load<T, R: PiiRow, V>(row: sqlx::Result<T>, loaded: &mut Loaded<R>, reading: &Reading<'_, T, R, V>) {
    let row = row.and_then(reading.decode).map_err(failed::<R>);
    match row.and_then(|row| Ok(((reading.keep)(reading.cryptor, &row)?, row))) {
        Ok((true, row)) => loaded.push(Ok(row)),
        Ok((false, _)) => {}
        Err(error) => loaded.push(Err(error)),
    }
}

//! Batches and rows of made-up databases.
#![allow(clippy::unwrap_used, reason = "a failing unwrap is a failing test")]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use futures_util::FutureExt as _;
use pii::{AuditEvent, AuditFailure, AuditSink, BoxFuture, EncryptedStr, PiiModel, TestKeyring};
use pii_core::{Error, ErrorKind, FieldSelection};

use super::{
    super::{ahead::AHEAD, open::Batch},
    *,
};

/// Rows of one model, whose batch holds a good row, one that did not open, one that was not decoded, and two good
/// ones.
fn rows(until_error: bool) -> Vec<std::result::Result<u8, ErrorKind>> {
    let batches = (0..2).map(|_| {
        let opening = vec![Ok(()), Err(Error::new(ErrorKind::Integrity)), Ok(()), Ok(())];
        Batch::of(vec![1, 2, 4, 5], opening, vec![(2, Error::new(ErrorKind::Malformed))])
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

#[derive(PiiModel)]
#[pii(name = "note")]
struct Note {
    #[pii(id)]
    id: i64,
    text: EncryptedStr,
}

/// Nothing is opened ahead where one is told.
struct Sink;

impl AuditSink for Sink {
    fn record<'a>(&'a self, _: &'a [AuditEvent]) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A database that sends rows when it is told to.
#[derive(Clone, Default)]
struct Source(Arc<Mutex<Sending>>);

#[derive(Default)]
struct Sending {
    rows: VecDeque<i64>,
    /// how many of them were taken
    taken: usize,
    is_over: bool,
}

impl Source {
    fn of(rows: impl IntoIterator<Item = i64>) -> Self {
        let source = Self::default();
        source.send(rows);
        source
    }

    fn send(&self, rows: impl IntoIterator<Item = i64>) {
        self.0.lock().unwrap().rows.extend(rows);
    }

    fn end(&self) {
        self.0.lock().unwrap().is_over = true;
    }

    fn taken(&self) -> usize {
        self.0.lock().unwrap().taken
    }

    /// Its rows, opened two at a time.
    fn stream<'e>(&self, cryptor: &'e Cryptor, texts: &'e [String]) -> BoxStream<'e, Result<Note>> {
        self.stream_with(cryptor, texts, |_| {})
    }

    fn stream_with<'e>(
        &self,
        cryptor: &'e Cryptor,
        texts: &'e [String],
        change: impl FnOnce(&mut Reading<'e, Note, Note, Note>),
    ) -> BoxStream<'e, Result<Note>> {
        let source = self.clone();
        let rows = stream::poll_fn(move |_| {
            let mut sending = source.0.lock().unwrap();
            match sending.rows.pop_front() {
                Some(id) => {
                    sending.taken += 1;
                    let text = texts[usize::try_from(id).unwrap()].clone();
                    Poll::Ready(Some(Ok(Note { id, text: EncryptedStr::from_stored(&text) })))
                }
                None if sending.is_over => Poll::Ready(None),
                None => Poll::Pending,
            }
        });
        let mut reading = Reading {
            decode: Ok,
            decodes_at_once: true,
            may_rest: false,
            keep: |_, _| Ok(true),
            cryptor,
            wanted: Wanted::fields(FieldSelection::All),
            show: Ok,
            chunk: 2,
            until_error: true,
        };
        change(&mut reading);
        open_stream(rows.boxed(), reading)
    }
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

fn sealed(cryptor: &Cryptor, count: i64) -> Vec<String> {
    let notes: Vec<_> = (0..count).map(|id| Note { id, text: EncryptedStr::new(id.to_string()) }).collect();
    let texts = cryptor.seal_texts(&notes).now_or_never().unwrap().unwrap();
    texts.into_iter().map(|mut texts| String::from(texts.next().unwrap())).collect()
}

fn next(stream: &mut BoxStream<'_, Result<Note>>) -> Option<i64> {
    let note = stream.next().now_or_never()??.unwrap();
    assert_eq!(*note.text.expose().unwrap(), note.id.to_string());
    Some(note.id)
}

/// Asks again and again: other threads work meanwhile.
fn next_in_time(stream: &mut BoxStream<'_, Result<Note>>) -> i64 {
    for _ in 0..10_000 {
        if let Some(id) = next(stream) {
            return id;
        }
        thread::sleep(Duration::from_millis(1));
    }
    panic!("no row came within ten seconds")
}

#[test]
fn rows_are_read_ahead_within_a_limit() {
    let cryptor = cryptor();
    let texts = sealed(&cryptor, 100);
    let source = Source::of(0..100);
    source.end();
    let mut stream = source.stream(&cryptor, &texts);
    assert_eq!(source.taken(), 0);
    assert_eq!((next_in_time(&mut stream), source.taken()), (0, 2));
    assert_eq!((next_in_time(&mut stream), source.taken()), (1, 2));
    for id in 2..100 {
        assert_eq!(next_in_time(&mut stream), id);
        let given = usize::try_from(id).unwrap() / 2 * 2;
        assert!(source.taken() <= given + 2 * AHEAD, "{} at {id}", source.taken());
    }
    assert!(stream.next().now_or_never().unwrap().is_none());
}

#[test]
fn rows_that_are_opened_do_not_wait_for_a_whole_batch() {
    let cryptor = cryptor();
    let texts = sealed(&cryptor, 7);
    let source = Source::of(0..4);
    let mut stream = source.stream(&cryptor, &texts);
    assert_eq!((next_in_time(&mut stream), next_in_time(&mut stream)), (0, 1));
    // a row is waited for, and a stream must not rest there
    thread::sleep(Duration::from_millis(50));
    assert_eq!(next(&mut stream), None);
    thread::sleep(Duration::from_millis(50));
    source.send([4]);
    assert_eq!((next_in_time(&mut stream), next_in_time(&mut stream)), (2, 3));
    assert_eq!(next(&mut stream), None);
    source.send([5, 6]);
    source.end();
    assert_eq!([(); 3].map(|()| next_in_time(&mut stream)), [4, 5, 6]);
    assert!(stream.next().now_or_never().unwrap().is_none());
}

#[test]
fn rows_that_are_opened_do_not_wait_for_any_row_where_a_stream_may_rest() {
    let cryptor = cryptor();
    let texts = sealed(&cryptor, 7);
    let source = Source::of(0..5);
    let mut stream = source.stream_with(&cryptor, &texts, |reading| reading.may_rest = true);
    assert_eq!([(); 4].map(|()| next_in_time(&mut stream)), [0, 1, 2, 3]);
    assert_eq!(next(&mut stream), None);
    source.send([5, 6]);
    assert_eq!((next_in_time(&mut stream), next_in_time(&mut stream)), (4, 5));
    assert_eq!(next(&mut stream), None);
    source.end();
    assert_eq!(next_in_time(&mut stream), 6);
    assert!(stream.next().now_or_never().unwrap().is_none());
}

/// The last rows are not a whole batch, and their end is told later than they come.
#[test]
fn no_row_is_lost_at_an_end_that_was_waited_for() {
    let (cryptor, sink) = (cryptor(), Arc::new(Sink));
    let texts = sealed(&cryptor, 9);
    let audited = cryptor.audited(sink, AuditFailure::Refuse);
    for (cryptor, may_rest) in [(&cryptor, false), (&cryptor, true), (&audited, false), (&audited, true)] {
        for count in 1..9 {
            for end_at_once in [false, true] {
                let source = Source::of(0..count);
                let mut stream = source.stream_with(cryptor, &texts, |reading| reading.may_rest = may_rest);
                let mut rows = Vec::new();
                while let Some(id) = next(&mut stream) {
                    rows.push(id);
                }
                // whatever was sent to other threads is opened
                thread::sleep(Duration::from_millis(if end_at_once { 0 } else { 5 }));
                source.end();
                while rows.len() < usize::try_from(count).unwrap() {
                    rows.push(next_in_time(&mut stream));
                }
                assert_eq!(rows, (0..count).collect::<Vec<_>>());
                assert!(stream.next().now_or_never().unwrap().is_none());
            }
        }
    }
}

#[test]
fn rows_that_are_not_asked_for_are_left_out() {
    let cryptor = cryptor();
    let texts = sealed(&cryptor, 40);
    for decodes_at_once in [false, true] {
        let source = Source::of(0..40);
        source.end();
        let mut stream = source.stream_with(&cryptor, &texts, |reading| {
            reading.decodes_at_once = decodes_at_once;
            reading.keep = |_, note| Ok(note.id > 20 && note.id % 5 != 0);
        });
        let mut rows = Vec::new();
        while rows.len() < 16 {
            rows.push(next_in_time(&mut stream));
        }
        assert_eq!(rows, (21..40).filter(|id| id % 5 != 0).collect::<Vec<_>>());
        assert!(stream.next().now_or_never().unwrap().is_none());
    }
}

//! Rows that are opened on other threads while their reader goes on.

use std::{
    panic::AssertUnwindSafe,
    sync::Mutex,
    thread::{self, ThreadId},
};

use futures_util::FutureExt as _;
use pii::{
    AuditEvent, AuditSink, BoxFuture, DataKey, GeneratedKey, KeyBinding, Keyring, OpeningAhead, Result,
    Wanted, WrappedKey,
};

use super::{key_support::*, *};

/// Notes the threads that it is called on.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<ThreadId>>>);

impl Calls {
    fn note(&self) {
        self.0.lock().unwrap().push(thread::current().id());
    }

    fn take(&self) -> Vec<ThreadId> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

struct Watched(TestKeyring, Calls);

impl Keyring for Watched {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        self.1.note();
        self.0.generate(binding)
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.1.note();
        self.0.unwrap(copies, binding, is_wanted)
    }
}

impl AuditSink for Calls {
    fn record<'a>(&'a self, _: &'a [AuditEvent]) -> BoxFuture<'a, Result<()>> {
        self.note();
        Box::pin(std::future::ready(Ok(())))
    }
}

fn watched() -> (Cryptor, Calls, Clock) {
    let (calls, clock) = (Calls::default(), Clock::new());
    let keyring = Watched(TestKeyring::new(), calls.clone());
    (Cryptor::envelope().keyring(keyring).clock(&clock).build().unwrap(), calls, clock)
}

async fn stored(count: i64) -> Vec<Customer> {
    let mut rows: Vec<_> = (0..count).map(|id| Customer { id, ..ada() }).collect();
    cryptor().seal(&mut rows).await.unwrap();
    all_stored(&rows)
}

fn all() -> Wanted {
    Wanted::fields(FieldSelection::All)
}

/// Waits without polling: what is done, is done by others.
fn until_back(opening: &mut OpeningAhead<Customer>) {
    while !opening.is_back() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn rows_are_opened_while_nobody_waits_for_them() {
    let (cryptor, _, _) = watched();
    let mut rows = stored(50).await;
    cryptor.open(&mut rows[..1].to_vec()).await.unwrap();
    rows[20].email = rows[21].email.clone();
    let before = cryptor.stats();
    let mut opening = cryptor.open_ahead(rows, &all());
    if thread::available_parallelism().is_ok_and(|cores| cores.get() > 1) {
        until_back(&mut opening);
        let now = cryptor.stats();
        assert_eq!((now.opened - before.opened, now.refused - before.refused), (99, 1));
        assert_eq!((now.cache_hits - before.cache_hits, now.key_calls()), (1, before.key_calls()));
    }
    let (rows, opened) = opening.await;
    for (at, (row, opened)) in rows.iter().zip(opened.unwrap()).enumerate() {
        assert_eq!(row.id, i64::try_from(at).unwrap());
        if at == 20 {
            assert_eq!(opened.unwrap_err().kind(), ErrorKind::Integrity);
            assert_all_sealed(row);
        } else {
            opened.unwrap();
            assert_eq!(row.email.expose().unwrap(), "ada@example.com");
            assert_eq!(row.ssn.as_ref().unwrap().expose().unwrap(), "900-12-3456");
        }
    }
}

#[tokio::test]
async fn keys_are_asked_for_by_whoever_waits() {
    let (cryptor, calls, clock) = watched();
    let rows = stored(3).await;
    let here = thread::current().id();
    for (forward, unwrapped) in [(Duration::ZERO, 1), (AGE / 10 * 9, 2), (3 * AGE, 3), (Duration::ZERO, 3)] {
        clock.advance(forward);
        let mut opening = cryptor.open_ahead(rows.clone(), &all());
        until_back(&mut opening);
        assert_eq!(calls.take(), [], "nobody has waited yet");
        let (rows, opened) = opening.await;
        opened.unwrap().into_iter().collect::<Result<()>>().unwrap();
        assert_eq!(rows[2].email.expose().unwrap(), "ada@example.com");
        assert_eq!(cryptor.stats().keys_unwrapped, unwrapped);
        assert!(calls.take().iter().all(|thread| *thread == here));
    }
    let stats = cryptor.stats();
    assert_eq!((stats.opened, stats.cache_refreshes, stats.cache_misses), (24, 1, 2));
}

#[tokio::test]
async fn sinks_are_told_by_whoever_waits() {
    let (cryptor, calls, _) = watched();
    let (sink, rows) = (Calls::default(), stored(3).await);
    cryptor.open(&mut rows.clone()).await.unwrap();
    calls.take();
    let audited = cryptor.audited(Arc::new(sink.clone()), AuditFailure::Refuse);
    let opening = audited.open_ahead(rows, &all());
    assert_eq!(sink.take(), [], "nobody has waited yet");
    opening.await.1.unwrap().into_iter().collect::<Result<()>>().unwrap();
    assert_eq!(sink.take(), [thread::current().id()]);
}

#[tokio::test]
async fn what_concerns_all_rows_is_told_once() {
    let (cryptor, _, _) = watched();
    let rows = stored(3).await;
    cryptor.open(&mut rows.clone()).await.unwrap();
    let unknown = Wanted::fields(FieldSelection::only(["emial"]));
    let (rows, opened) = cryptor.open_ahead(rows, &unknown).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Configuration);
    let (rows, opened) = cryptor.limited_to(Mode::WriteOnly).open_ahead(rows, &all()).await;
    assert_eq!(opened.unwrap_err().kind(), ErrorKind::Mode);
    let elsewhere = cryptor.scoped(ctx!(tenant = "globex"));
    let (rows, opened) = elsewhere.open_ahead(rows, &all()).await;
    let refused = |opened: Result<()>| opened.unwrap_err().kind() == ErrorKind::ContextMismatch;
    assert!(opened.unwrap().into_iter().all(refused));
    rows.iter().for_each(assert_all_sealed);
    let (rows, opened) = cryptor.open_ahead(rows, &Wanted::fields(FieldSelection::Nothing)).await;
    assert_eq!(opened.unwrap().len(), 3);
    rows.iter().for_each(assert_all_sealed);
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "note", context(topic = known(&self.topic)))]
struct Note {
    #[pii(id)]
    id: i64,
    topic: String,
    #[pii(plaintext = "accept_and_seal")]
    text: EncryptedStr,
    signature: EncryptedStr,
}

fn known(topic: &str) -> &str {
    if topic.is_empty() { panic!("no topic") } else { topic }
}

async fn stored_note(cryptor: &Cryptor) -> Note {
    let (text, signature) = (EncryptedStr::new("text"), EncryptedStr::new("signature"));
    let mut notes = [Note { id: 1, topic: "notes".into(), text, signature }];
    cryptor.seal(&mut notes).await.unwrap();
    through_storage(&notes[0])
}

#[tokio::test]
async fn plaintext_is_counted_once_though_keys_are_missing() {
    let (cryptor, ..) = watched();
    let mut row = stored_note(&cryptor).await;
    row.text = serde_json::from_str("\"plain\"").unwrap();
    let (rows, opened) = cryptor.open_ahead(vec![row], &all()).await;
    opened.unwrap().into_iter().collect::<Result<()>>().unwrap();
    assert_eq!(rows[0].text.expose().unwrap(), "plain");
    assert_eq!(cryptor.stats().plaintexts_accepted, 1);
}

#[tokio::test]
async fn a_panic_of_a_model_reaches_whoever_waits() {
    let (cryptor, ..) = watched();
    let mut note = stored_note(&cryptor).await;
    cryptor.open(&mut [note.clone()]).await.unwrap();
    note.topic.clear();
    let opening = AssertUnwindSafe(cryptor.open_ahead(vec![note], &all()));
    let panicked = opening.catch_unwind().await.err().unwrap();
    assert_eq!(panicked.downcast_ref(), Some(&"no topic"));
    // and the threads go on
    let (rows, opened) = cryptor.open_ahead(stored(2).await, &all()).await;
    assert_eq!((rows.len(), opened.unwrap().into_iter().filter(Result::is_ok).count()), (2, 2));
}

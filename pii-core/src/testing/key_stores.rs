//! Key stores around another one, which wait or fail on request.

use std::{
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;

use super::waiting::Sleep;
use crate::{Error, ErrorKind, KeyId, KeyRecord, KeySlot, KeyStore, ListedKey, Result};

/// A key store that takes its time, like a database over a network. It needs no runtime.
///
/// ```
/// # use pii_core as pii;
/// use std::time::Duration;
/// use pii::{FileKeyStore, testing::DelayingKeyStore};
/// # fn start(folder: &std::path::Path) -> pii::Result<()> {
/// let store = DelayingKeyStore::new(FileKeyStore::open(folder)?, Duration::from_millis(20));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DelayingKeyStore<S> {
    inner: S,
    delay: Duration,
}

impl<S: KeyStore> DelayingKeyStore<S> {
    /// Every call to `inner` takes `delay` longer.
    pub fn new(inner: S, delay: Duration) -> Self {
        Self { inner, delay }
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        Sleep::new(self.delay).await;
        call.await
    }
}

/// A key store that fails when told to, before it does anything or after it did, and counts calls. Clones
/// share the switch and the counter.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Cryptor, ErrorKind, FileKeyStore, TestKeyring, testing::FailingKeyStore};
/// # fn start(folder: &std::path::Path) -> pii::Result<()> {
/// let store = FailingKeyStore::new(FileKeyStore::open(folder)?);
/// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store.clone()).build()?;
/// store.fail_with(ErrorKind::KeyUnavailable);
/// // whatever needs a record now fails, and what comes after `recover` does not
/// store.recover();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FailingKeyStore<S> {
    inner: Arc<S>,
    failure: Arc<Mutex<Option<Failure>>>,
    calls: Arc<AtomicU64>,
}

#[derive(Debug, Clone, Copy)]
enum Failure {
    Before(ErrorKind),
    After(ErrorKind),
}

impl<S> Clone for FailingKeyStore<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            failure: Arc::clone(&self.failure),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<S: KeyStore> FailingKeyStore<S> {
    /// Passes calls on to `inner` until told to fail.
    pub fn new(inner: S) -> Self {
        Self { inner: Arc::new(inner), failure: Arc::default(), calls: Arc::default() }
    }

    /// Every call from now on fails with an error of this kind, and does nothing.
    pub fn fail_with(&self, kind: ErrorKind) {
        self.set(Some(Failure::Before(kind)));
    }

    /// Every call from now on is done and then fails with an error of this kind: as if the connection broke
    /// before the answer.
    pub fn lose_answers_with(&self, kind: ErrorKind) {
        self.set(Some(Failure::After(kind)));
    }

    /// Calls are passed on again.
    pub fn recover(&self) {
        self.set(None);
    }

    /// How many calls there were, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn set(&self, failure: Option<Failure>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let failure = *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        match failure {
            None => call.await,
            Some(Failure::Before(kind)) => Err(told(kind)),
            Some(Failure::After(kind)) => call.await.and(Err(told(kind))),
        }
    }
}

fn told(kind: ErrorKind) -> Error {
    Error::new(kind).message("a failing key store was told to fail")
}

/// Both stores do every call of the one inside by way of `pass`, which alone says when it begins: a store may
/// do its work as soon as it is called.
macro_rules! passes_calls {
    ($store:ident) => {
        impl<S: KeyStore> KeyStore for $store<S> {
            fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
                Box::pin(self.pass(async move { self.inner.load(key_id).await }))
            }

            fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
                Box::pin(self.pass(async move { self.inner.active(slot).await }))
            }

            fn elected<'a>(
                &'a self,
                slot: &'a KeySlot,
                epoch: u32,
            ) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
                Box::pin(self.pass(async move { self.inner.elected(slot, epoch).await }))
            }

            fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
                Box::pin(self.pass(async move { self.inner.elect(proposal).await }))
            }

            fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
                Box::pin(self.pass(async move { self.inner.insert(record).await }))
            }

            fn replace<'a>(
                &'a self,
                current: &'a KeyRecord,
                new: &'a KeyRecord,
            ) -> BoxFuture<'a, Result<bool>> {
                Box::pin(self.pass(async move { self.inner.replace(current, new).await }))
            }

            fn list<'a>(
                &'a self,
                after: Option<KeyId>,
                limit: usize,
            ) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
                Box::pin(self.pass(async move { self.inner.list(after, limit).await }))
            }
        }
    };
}

passes_calls!(DelayingKeyStore);
passes_calls!(FailingKeyStore);

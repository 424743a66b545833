//! Keyrings around another one, which wait or fail on request.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;

use super::waiting::Sleep;
use crate::{DataKey, Error, ErrorKind, GeneratedKey, KeyBinding, Keyring, Result, WrappedKey};

/// A keyring that takes its time, like a key service over a network. It needs no runtime.
#[derive(Debug)]
pub struct DelayingKeyring<K> {
    inner: K,
    delay: Duration,
}

impl<K: Keyring> DelayingKeyring<K> {
    /// Every call to `inner` takes `delay` longer.
    pub fn new(inner: K, delay: Duration) -> Self {
        Self { inner, delay }
    }
}

impl<K: Keyring> Keyring for DelayingKeyring<K> {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            Sleep::new(self.delay).await;
            self.inner.generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            Sleep::new(self.delay).await;
            self.inner.unwrap(copies, binding, is_wanted).await
        })
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(async move {
            Sleep::new(self.delay).await;
            self.inner.wrap(data_key, binding).await
        })
    }

    fn rewrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(async move {
            Sleep::new(self.delay).await;
            self.inner.rewrap(copies, binding, is_wanted).await
        })
    }

    fn can_unwrap(&self) -> bool {
        self.inner.can_unwrap()
    }
}

/// A keyring that fails when told to, and counts calls. Clones share the switch and the counters.
#[derive(Debug)]
pub struct FailingKeyring<K> {
    inner: Arc<K>,
    failure: Arc<Mutex<Option<ErrorKind>>>,
    calls: Arc<AtomicU64>,
}

impl<K> Clone for FailingKeyring<K> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            failure: Arc::clone(&self.failure),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl<K: Keyring> FailingKeyring<K> {
    /// Passes calls on to `inner` until told to fail.
    pub fn new(inner: K) -> Self {
        Self { inner: Arc::new(inner), failure: Arc::default(), calls: Arc::default() }
    }

    /// Every call from now on fails with an error of this kind.
    pub fn fail_with(&self, kind: ErrorKind) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(kind);
    }

    /// Calls are passed on again. A cryptor remembers what it was refused for
    /// [`CacheLimits::negative_age`](crate::CacheLimits::negative_age), other than throttled and
    /// unavailable: put its [`Clock`](super::Clock) forward by that.
    pub fn recover(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// How many calls there were, failed ones included.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<()> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        match *self.failure.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(kind) => Err(Error::new(kind).message("a failing keyring was told to fail")),
            None => Ok(()),
        }
    }
}

impl<K: Keyring> Keyring for FailingKeyring<K> {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        match self.check() {
            Ok(()) => self.inner.generate(binding),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        match self.check() {
            Ok(()) => self.inner.unwrap(copies, binding, is_wanted),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        match self.check() {
            Ok(()) => self.inner.wrap(data_key, binding),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn rewrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        match self.check() {
            Ok(()) => self.inner.rewrap(copies, binding, is_wanted),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn can_unwrap(&self) -> bool {
        self.inner.can_unwrap()
    }
}

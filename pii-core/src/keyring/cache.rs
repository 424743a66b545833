//! What was fetched, kept for a while: one flight per missing key, and a grace when fetching fails.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt as _, future::Shared};

use crate::error::{Error, ErrorKind, Result};

/// Within the grace, a service that fails is left alone for this long, or for a tenth of the age.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long values are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ages {
    /// After this, the value is fetched again.
    pub(super) max_age: Duration,
    /// For so much longer it is used while fetching fails in a way that may pass.
    pub(super) grace: Duration,
}

pub(super) struct Cache<K, V> {
    ages: Ages,
    entries: Mutex<HashMap<K, Entry<V>>>,
    flights: Mutex<HashMap<K, Flight<V>>>,
}

type Flight<V> = Shared<BoxFuture<'static, Result<V>>>;

struct Entry<V> {
    value: V,
    since: Instant,
    /// When fetching has failed: the next attempt is not before this.
    paused_until: Option<Instant>,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(super) fn new(ages: Ages) -> Self {
        Self { ages, entries: Mutex::default(), flights: Mutex::default() }
    }

    /// The value of this key: kept, or fetched once for all who ask meanwhile.
    pub(super) async fn get(
        self: &Arc<Self>,
        key: K,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Result<V> {
        let flight = {
            let mut flights = lock(&self.flights);
            if let Some(value) = self.kept(&key) {
                return Ok(value);
            }
            match flights.get(&key) {
                Some(flight) => flight.clone(),
                None => {
                    let flight = self.fly(key.clone(), fetch());
                    flights.insert(key, flight.clone());
                    flight
                }
            }
        };
        flight.await
    }

    /// Keeps a value that came another way.
    pub(super) fn put(&self, key: K, value: V) {
        let mut entries = lock(&self.entries);
        // what nobody asks for any more does not stay in memory
        entries.retain(|_, entry| entry.since.elapsed() < self.ages.max_age.saturating_add(self.ages.grace));
        entries.insert(key, Entry { value, since: Instant::now(), paused_until: None });
    }

    fn kept(&self, key: &K) -> Option<V> {
        let entries = lock(&self.entries);
        let entry = entries.get(key)?;
        let is_fresh = entry.since.elapsed() < self.ages.max_age;
        let is_paused = entry.paused_until.is_some_and(|until| Instant::now() < until);
        (is_fresh || is_paused).then(|| entry.value.clone())
    }

    /// The flight lands before any of those who wait for it go on. It does not hold the cache: one
    /// that all have left must not keep keys in memory.
    fn fly(self: &Arc<Self>, key: K, fetch: BoxFuture<'static, Result<V>>) -> Flight<V> {
        let cache = Arc::downgrade(self);
        let landing = async move {
            let fetched = AssertUnwindSafe(fetch).catch_unwind().await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::KeyUnavailable).message("a keyring or key store panicked"))
            });
            let Some(cache) = cache.upgrade() else { return fetched };
            let landed = match fetched {
                Ok(value) => {
                    cache.put(key.clone(), value.clone());
                    Ok(value)
                }
                Err(error) if error.is_retryable() => cache.in_grace(&key).ok_or(error),
                Err(error) => {
                    // disabled, denied, destroyed: from now on it is not used
                    lock(&cache.entries).remove(&key);
                    Err(error)
                }
            };
            lock(&cache.flights).remove(&key);
            landed
        };
        landing.boxed().shared()
    }

    fn in_grace(&self, key: &K) -> Option<V> {
        let mut entries = lock(&self.entries);
        let entry = entries.get_mut(key)?;
        let left = self.ages.max_age.saturating_add(self.ages.grace).checked_sub(entry.since.elapsed());
        let Some(left) = left.filter(|left| !left.is_zero()) else {
            entries.remove(key);
            return None;
        };
        let pause = (self.ages.max_age / 10).min(LONGEST_PAUSE).min(left);
        entry.paused_until = Instant::now().checked_add(pause);
        Some(entry.value.clone())
    }
}

/// Nothing in these critical sections panics half-way through a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn cache(max_age: Duration, grace: Duration) -> Arc<Cache<u8, u32>> {
        Arc::new(Cache::new(Ages { max_age, grace }))
    }

    fn ready(result: Result<u32>) -> impl FnOnce() -> BoxFuture<'static, Result<u32>> {
        || std::future::ready(result).boxed()
    }

    fn failure(kind: ErrorKind) -> impl FnOnce() -> BoxFuture<'static, Result<u32>> {
        ready(Err(Error::new(kind)))
    }

    #[tokio::test]
    async fn a_fresh_value_is_not_fetched_again_and_an_aged_one_is() {
        let fresh = cache(HOUR, Duration::ZERO);
        assert_eq!(fresh.get(1, ready(Ok(7))).await.unwrap(), 7);
        assert_eq!(fresh.get(1, ready(Ok(8))).await.unwrap(), 7);
        let aged = cache(Duration::ZERO, HOUR);
        assert_eq!(aged.get(1, ready(Ok(7))).await.unwrap(), 7);
        assert_eq!(aged.get(1, ready(Ok(8))).await.unwrap(), 8);
    }

    #[tokio::test]
    async fn grace_is_for_failures_that_may_pass() {
        let cache = cache(Duration::ZERO, HOUR);
        assert!(cache.get(1, failure(ErrorKind::KeyThrottled)).await.is_err());
        cache.get(1, ready(Ok(7))).await.unwrap();
        for kind in [ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable] {
            assert_eq!(cache.get(1, failure(kind)).await.unwrap(), 7);
        }
        for kind in [ErrorKind::KeyDenied, ErrorKind::KeyDisabled, ErrorKind::KeyMissing, ErrorKind::Erased] {
            cache.get(1, ready(Ok(7))).await.unwrap();
            assert_eq!(cache.get(1, failure(kind)).await.unwrap_err().kind(), kind);
            let error = cache.get(1, failure(ErrorKind::KeyThrottled)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyThrottled, "{kind:?} evicts");
        }
    }

    #[tokio::test]
    async fn without_grace_nothing_aged_is_used() {
        let cache = cache(Duration::ZERO, Duration::ZERO);
        cache.get(1, ready(Ok(7))).await.unwrap();
        assert!(cache.get(1, failure(ErrorKind::KeyThrottled)).await.is_err());
    }

    #[tokio::test]
    async fn who_asks_meanwhile_shares_the_flight_and_may_give_up() {
        let cache = cache(HOUR, HOUR);
        let waits = || {
            async {
                tokio::task::yield_now().await;
                Ok(7)
            }
            .boxed()
        };
        assert!(cache.get(1, waits).now_or_never().is_none(), "polled once, then given up");
        let never = || async { panic!("a second flight") }.boxed();
        let asked = futures_util::future::join(cache.get(1, never), cache.get(1, never)).await;
        assert_eq!((asked.0.unwrap(), asked.1.unwrap()), (7, 7));
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_a_flight_that_was_left_keeps_nothing_alive() {
        let cache = cache(HOUR, HOUR);
        let panics = || async { panic!("a keyring's own fault") }.boxed();
        assert_eq!(cache.get(1, panics).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert!(cache.get(1, || std::future::pending().boxed()).now_or_never().is_none());
        let weak = Arc::downgrade(&cache);
        drop(cache);
        assert!(weak.upgrade().is_none());
    }
}

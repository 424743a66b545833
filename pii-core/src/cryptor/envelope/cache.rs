//! The data-key cache: limits by the names that Powertools gave them, one flight per missing key.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt as _, future::Shared};

use crate::error::{Error, ErrorKind, Result};

/// How long, and for how much, a data key stays in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLimits {
    /// How many data keys are kept for sealing, and as many for opening. The least recently used
    /// ones go first.
    pub capacity: usize,
    /// How long a data key is kept after the key service gave it.
    pub max_age: Duration,
    /// How many values a kept data key may seal, or open.
    pub max_messages: u64,
    /// How many bytes of plaintext a kept data key may seal, or open.
    pub max_bytes: u64,
}

impl Default for CacheLimits {
    /// 10,000 keys, 5 minutes, 4,294,967,296 values, and as many bytes as fit in 63 bits.
    fn default() -> Self {
        Self {
            capacity: 10_000,
            max_age: Duration::from_secs(300),
            max_messages: 1 << 32,
            max_bytes: (1 << 63) - 1,
        }
    }
}

impl CacheLimits {
    pub(crate) fn check(&self) -> Result<()> {
        let zero = [
            ("capacity", self.capacity == 0),
            ("max_age", self.max_age.is_zero()),
            ("max_messages", self.max_messages == 0),
            ("max_bytes", self.max_bytes == 0),
        ];
        match zero.into_iter().find(|(_, is_zero)| *is_zero) {
            None => Ok(()),
            Some((name, _)) => {
                Err(Error::new(ErrorKind::Configuration).message(format!("the cache limit `{name}` is zero")))
            }
        }
    }
}

/// Keys by name, within limits; misses for one name share one flight.
///
/// A flight may depend on more than the name: on the wrapped copies that a value carries. Then `F`
/// names the flight, so that a damaged copy fails alone, and what landed serves all of the name.
pub(crate) struct Cache<K, V, F = K> {
    limits: CacheLimits,
    entries: Mutex<HashMap<K, Entry<V>>>,
    flights: Mutex<HashMap<F, Flight<V>>>,
    swept: Mutex<Instant>,
    clock: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

type Flight<V> = Shared<BoxFuture<'static, Result<V>>>;

struct Entry<V> {
    value: V,
    since: Instant,
    messages: u64,
    bytes: u64,
    used: u64,
}

impl<K, V, F> Cache<K, V, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(limits: CacheLimits) -> Self {
        Self {
            limits,
            entries: Mutex::default(),
            flights: Mutex::default(),
            swept: Mutex::new(Instant::now()),
            clock: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The value of this name for `messages` values of `bytes` in all: kept, or fetched once for
    /// all who ask meanwhile.
    pub(crate) async fn get(
        self: &Arc<Self>,
        key: K,
        flight: F,
        messages: u64,
        bytes: u64,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Result<V> {
        if let Some(value) = self.kept(&key, messages, bytes) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(value);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let flight = {
            let mut flights = lock(&self.flights);
            match flights.get(&flight) {
                Some(flight) => flight.clone(),
                // whoever held the flight may have landed between the look above and the lock
                None => match self.kept(&key, messages, bytes) {
                    Some(value) => return Ok(value),
                    None => {
                        let flying = self.fly(key.clone(), flight.clone(), fetch());
                        flights.insert(flight, flying.clone());
                        flying
                    }
                },
            }
        };
        let value = flight.await?;
        self.charge(&key, messages, bytes);
        Ok(value)
    }

    /// The flight lands before any of those who wait for it go on: the entry is in, the flight out.
    fn fly(self: &Arc<Self>, key: K, flight: F, fetch: BoxFuture<'static, Result<V>>) -> Flight<V> {
        let cache = Arc::clone(self);
        let landing = async move {
            let fetched = AssertUnwindSafe(fetch).catch_unwind().await.unwrap_or_else(|_| {
                // a flight that ended by a panic must not strand all later ones
                Err(Error::new(ErrorKind::KeyUnavailable).message("a keyring or key store panicked"))
            });
            if let Ok(value) = &fetched {
                cache.keep(key, value.clone());
            }
            lock(&cache.flights).remove(&flight);
            fetched
        };
        landing.boxed().shared()
    }

    fn kept(&self, key: &K, messages: u64, bytes: u64) -> Option<V> {
        let mut entries = lock(&self.entries);
        let entry = entries.get_mut(key)?;
        let is_spent = entry.since.elapsed() >= self.limits.max_age
            || entry.messages.saturating_add(messages) > self.limits.max_messages
            || entry.bytes.saturating_add(bytes) > self.limits.max_bytes;
        if is_spent {
            entries.remove(key);
            return None;
        }
        entry.messages += messages;
        entry.bytes += bytes;
        entry.used = self.tick();
        Some(entry.value.clone())
    }

    fn keep(&self, key: K, value: V) {
        let mut entries = lock(&self.entries);
        let mut swept = lock(&self.swept);
        if swept.elapsed() >= self.limits.max_age {
            // keys that nobody asks for any more do not stay in memory
            entries.retain(|_, entry| entry.since.elapsed() < self.limits.max_age);
            *swept = Instant::now();
        }
        drop(swept);
        if entries.len() >= self.limits.capacity && !entries.contains_key(&key) {
            let oldest = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            oldest.map(|key| entries.remove(&key));
        }
        let entry = Entry { value, since: Instant::now(), messages: 0, bytes: 0, used: self.tick() };
        entries.insert(key, entry);
    }

    fn charge(&self, key: &K, messages: u64, bytes: u64) {
        if let Some(entry) = lock(&self.entries).get_mut(key) {
            entry.messages = entry.messages.saturating_add(messages);
            entry.bytes = entry.bytes.saturating_add(bytes);
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    pub(crate) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

/// Nothing in these critical sections panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn fetch(
        calls: &Arc<AtomicU32>,
        result: Result<u32>,
    ) -> impl FnOnce() -> BoxFuture<'static, Result<u32>> {
        let calls = Arc::clone(calls);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                tokio::time::sleep(Duration::from_millis(5)).await;
                result
            }
            .boxed()
        }
    }

    fn cache(limits: CacheLimits) -> Arc<Cache<u32, u32>> {
        Arc::new(Cache::new(limits))
    }

    #[tokio::test]
    async fn all_who_ask_together_share_one_flight() {
        let (cache, calls) = (cache(CacheLimits::default()), Arc::new(AtomicU32::new(0)));
        let asked = (0..50).map(|_| cache.get(1, 1, 1, 1, fetch(&calls, Ok(7))));
        let got = futures_util::future::join_all(asked).await;
        assert!(got.into_iter().all(|value| value.unwrap() == 7));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(cache.get(1, 1, 1, 1, fetch(&calls, Ok(8))).await.unwrap(), 7);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_shared_and_not_kept() {
        let (cache, calls) = (cache(CacheLimits::default()), Arc::new(AtomicU32::new(0)));
        let failure = || Err(Error::new(ErrorKind::KeyThrottled));
        let asked = (0..10).map(|_| cache.get(1, 1, 1, 1, fetch(&calls, failure())));
        assert!(futures_util::future::join_all(asked).await.into_iter().all(|value| value.is_err()));
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(cache.get(1, 1, 1, 1, fetch(&calls, Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn one_who_gives_up_does_not_strand_the_others() {
        let (cache, calls) = (cache(CacheLimits::default()), Arc::new(AtomicU32::new(0)));
        {
            // polled once, then dropped: however slow the machine, it can't have landed
            let asked = cache.get(1, 1, 1, 1, fetch(&calls, Ok(7)));
            assert!(asked.now_or_never().is_none());
        }
        assert_eq!(cache.get(1, 1, 1, 1, fetch(&calls, Ok(8))).await.unwrap(), 7);
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_call_recovers() {
        let (cache, calls) = (cache(CacheLimits::default()), Arc::new(AtomicU32::new(0)));
        let panics = || async { panic!("a keyring's own fault") }.boxed();
        assert_eq!(cache.get(1, 1, 1, 1, panics).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(cache.get(1, 1, 1, 1, fetch(&calls, Ok(7))).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn every_limit_ends_an_entry() {
        let calls = Arc::new(AtomicU32::new(0));
        let by_messages = cache(CacheLimits { max_messages: 2, ..CacheLimits::default() });
        for _ in 0..4 {
            by_messages.get(1, 1, 1, 1, fetch(&calls, Ok(1))).await.unwrap();
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
        let by_bytes = cache(CacheLimits { max_bytes: 100, ..CacheLimits::default() });
        for _ in 0..4 {
            by_bytes.get(1, 1, 1, 60, fetch(&calls, Ok(1))).await.unwrap();
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 4);
        let by_age = cache(CacheLimits { max_age: Duration::from_millis(1), ..CacheLimits::default() });
        for _ in 0..2 {
            by_age.get(1, 1, 1, 1, fetch(&calls, Ok(1))).await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 2);
        let by_capacity = cache(CacheLimits { capacity: 2, ..CacheLimits::default() });
        for key in [1, 2, 1, 3, 1] {
            by_capacity.get(key, key, 1, 1, fetch(&calls, Ok(1))).await.unwrap();
        }
        assert_eq!(calls.swap(0, Ordering::SeqCst), 3);
        by_capacity.get(2, 2, 1, 1, fetch(&calls, Ok(1))).await.unwrap();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_limit_of_zero_is_refused() {
        assert!(CacheLimits { capacity: 0, ..CacheLimits::default() }.check().is_err());
        assert!(CacheLimits::default().check().is_ok());
    }
}

//! The data-key cache: one flight per missing key, refreshed ahead of time, with a grace for keys
//! whose service is away and a short memory for refusals.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::{
    FutureExt as _,
    future::{Shared, WeakShared},
};
use hashlink::LinkedHashMap;

use super::{
    clock::Clock,
    entries::{Entries, Found, Remaining, Room},
    limits::CacheLimits,
};
use crate::error::{Error, ErrorKind, Result};

/// Takes a refresh that nobody waits for.
pub(crate) type Spawn = Arc<dyn Fn(BoxFuture<'static, ()>) + Send + Sync>;

/// Keys by name, within limits; misses for one name share one flight.
///
/// A flight may depend on more than the name: on the wrapped copies that a value carries. Then `F`
/// names the flight, so that a damaged copy fails alone, and what landed serves all of the name.
pub(crate) struct Cache<K, V, F = K> {
    limits: CacheLimits,
    clock: Clock,
    spawn: Option<Spawn>,
    entries: Mutex<Entries<K, V>>,
    flights: Mutex<Flights<F, V>>,
    refusals: Mutex<LinkedHashMap<F, (Error, Duration)>>,
    pub(crate) counters: CacheCounters,
}

struct Flights<F, V> {
    /// Held weakly: a flight that all have left ends, and gives back what it held.
    by_name: HashMap<F, WeakFlight<V>>,
    /// What was asked for before an eviction is not kept.
    evictions: u64,
}

type Flight<V> = Shared<BoxFuture<'static, Result<V>>>;
type WeakFlight<V> = WeakShared<BoxFuture<'static, Result<V>>>;

#[derive(Default)]
pub(crate) struct CacheCounters {
    pub(crate) hits: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) refreshes: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) grace_uses: AtomicU64,
    pub(crate) negative_hits: AtomicU64,
}

impl<K, V, F> Cache<K, V, F>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    F: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    pub(crate) fn new(limits: CacheLimits, clock: Clock, spawn: Option<Spawn>) -> Self {
        Self {
            entries: Mutex::new(Entries::new(limits.clone())),
            limits,
            clock,
            spawn,
            flights: Mutex::new(Flights { by_name: HashMap::new(), evictions: 0 }),
            refusals: Mutex::default(),
            counters: CacheCounters::default(),
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
        let found = lock(&self.entries).find(&key, messages, bytes, self.clock.now());
        if !matches!(found, Found::Nothing) {
            tick(&self.counters.hits);
        }
        match found {
            Found::Fresh(value) => return Ok(value),
            Found::InGrace(value) => {
                tick(&self.counters.grace_uses);
                return Ok(value);
            }
            Found::Due(value) => return self.refresh(key, flight, value, fetch).await,
            Found::Nothing => tick(&self.counters.misses),
        }
        if let Some(error) = self.refusal(&flight) {
            tick(&self.counters.negative_hits);
            return Err(error);
        }
        let flight = match self.join(&key, flight, messages, bytes, fetch) {
            Joined::Landed(value) => return Ok(value),
            Joined::Flight(flight) => flight,
        };
        match flight.await {
            Ok(value) => {
                lock(&self.entries).charge(&key, messages, bytes);
                Ok(value)
            }
            Err(error) if error.is_retryable() => self.grace(&key, messages, bytes, error),
            Err(error) => Err(error),
        }
    }

    /// What is kept of these names, each for `messages` values of `bytes` in all; all of them, if nothing is to be
    /// fetched anew.
    pub(crate) fn at_hand(&self, wanted: &[(K, u64, u64)]) -> Option<Vec<V>> {
        let (mut entries, now) = (lock(&self.entries), self.clock.now());
        // before any of them is charged
        if !wanted.iter().all(|(key, messages, bytes)| entries.is_fresh(key, *messages, *bytes, now)) {
            return None;
        }
        let found = wanted.iter().map(|(key, messages, bytes)| {
            tick(&self.counters.hits);
            match entries.find(key, *messages, *bytes, now) {
                Found::Fresh(value) => Some(value),
                // of several values with one name, those before have used it up
                Found::Due(_) | Found::InGrace(_) | Found::Nothing => None,
            }
        });
        found.collect()
    }

    /// Fetches ahead of time what is still good. Whoever is told to does it; the others go on.
    async fn refresh(
        self: &Arc<Self>,
        key: K,
        flight: F,
        value: V,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Result<V> {
        tick(&self.counters.refreshes);
        let flight = self.start(&key, flight, fetch);
        let refreshing = Refreshing { cache: Arc::clone(self), key };
        let flight = async move {
            let _refreshing = refreshing;
            flight.await
        };
        if let Some(spawn) = &self.spawn {
            spawn(flight.map(drop).boxed());
            return Ok(value);
        }
        match flight.await {
            Err(error) if ends_use(&error) => Err(error),
            Err(_) => Ok(value),
            refreshed => refreshed,
        }
    }

    fn grace(&self, key: &K, messages: u64, bytes: u64, error: Error) -> Result<V> {
        let Some((value, is_first)) = lock(&self.entries).grace(key, messages, bytes, self.clock.now())
        else {
            return Err(error);
        };
        tick(&self.counters.grace_uses);
        if is_first {
            tracing::warn!(%error, grace = ?self.limits.grace, "a data key is used beyond its age");
        }
        Ok(value)
    }

    fn refusal(&self, flight: &F) -> Option<Error> {
        let mut refusals = lock(&self.refusals);
        match refusals.get(flight) {
            Some((error, until)) if self.clock.now() < *until => Some(error.clone()),
            Some(_) => {
                refusals.remove(flight);
                None
            }
            None => None,
        }
    }

    fn join(
        self: &Arc<Self>,
        key: &K,
        flight: F,
        messages: u64,
        bytes: u64,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Joined<V> {
        let mut flights = lock(&self.flights);
        if let Some(flight) = flights.by_name.get(&flight).and_then(WeakShared::upgrade) {
            return Joined::Flight(flight);
        }
        // whoever held the flight may have landed between the first look and the lock
        let mut entries = lock(&self.entries);
        match entries.find(key, messages, bytes, self.clock.now()) {
            Found::Fresh(value) => return Joined::Landed(value),
            Found::Due(value) => {
                entries.give_up(key);
                return Joined::Landed(value);
            }
            Found::InGrace(_) | Found::Nothing => {}
        }
        drop(entries);
        Joined::Flight(self.fly(&mut flights, key, flight, fetch))
    }

    fn start(
        self: &Arc<Self>,
        key: &K,
        flight: F,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Flight<V> {
        let mut flights = lock(&self.flights);
        match flights.by_name.get(&flight).and_then(WeakShared::upgrade) {
            Some(flight) => flight,
            None => self.fly(&mut flights, key, flight, fetch),
        }
    }

    /// The flight lands before any of those who wait for it go on: the entry is in, the flight out.
    fn fly(
        self: &Arc<Self>,
        flights: &mut Flights<F, V>,
        key: &K,
        name: F,
        fetch: impl FnOnce() -> BoxFuture<'static, Result<V>>,
    ) -> Flight<V> {
        let (cache, key, landing) = (Arc::clone(self), key.clone(), name.clone());
        let evictions = flights.evictions;
        let fetch = fetch();
        let flight = async move {
            let fetched = AssertUnwindSafe(fetch).catch_unwind().await.unwrap_or_else(|_| {
                // a flight that ended by a panic must not strand all later ones
                Err(Error::new(ErrorKind::KeyUnavailable).message("a keyring or key store panicked"))
            });
            cache.land(key, &landing, evictions, &fetched);
            fetched
        };
        let flight = flight.boxed().shared();
        let flights = &mut flights.by_name;
        if flights.len() >= self.limits.capacity {
            flights.retain(|_, flight| flight.upgrade().is_some());
        }
        flights.extend(flight.downgrade().map(|weak| (name, weak)));
        flight
    }

    fn land(&self, key: K, name: &F, evictions: u64, fetched: &Result<V>) {
        let now = self.clock.now();
        let mut flights = lock(&self.flights);
        if flights.evictions != evictions {
            return;
        }
        match fetched {
            Ok(value) => {
                let room = lock(&self.entries).insert(key, value.clone(), now);
                lock(&self.refusals).remove(name);
                if room != Room::Free {
                    tick(&self.counters.evictions);
                }
                if room == Room::Thrashing {
                    tracing::warn!(
                        capacity = self.limits.capacity,
                        "the data-key cache is too small: as many keys were pushed out within one `max_age` as \
                         it has room for; raise `CacheLimits::capacity`"
                    );
                }
            }
            Err(error) => {
                match ends_use(error) {
                    true => lock(&self.entries).remove(&key),
                    false => lock(&self.entries).postpone(&key, now),
                }
                self.remember(name, error, now);
            }
        }
        flights.by_name.remove(name);
    }

    fn remember(&self, name: &F, error: &Error, now: Duration) {
        if error.is_retryable() || self.limits.negative_age.is_zero() {
            return;
        }
        let mut refusals = lock(&self.refusals);
        // they are named by what stands in values, which may be long
        while refusals.len() >= self.limits.capacity
            || refusals.front().is_some_and(|(_, (_, until))| *until <= now)
        {
            refusals.pop_front();
        }
        refusals.insert(name.clone(), (error.clone(), now.saturating_add(self.limits.negative_age)));
    }

    /// What is kept and within its age, without charging it.
    pub(crate) fn peek(&self, key: &K) -> Option<V> {
        lock(&self.entries).peek(key, self.clock.now()).cloned()
    }

    pub(crate) fn remove(&self, key: &K) {
        lock(&self.entries).remove(key);
    }

    /// Forgets keys, and all refusals. What is asked for at the moment serves those who wait for it,
    /// and is not kept.
    pub(crate) fn evict(&self, is_evicted: impl Fn(&K) -> bool) {
        let mut flights = lock(&self.flights);
        flights.evictions = flights.evictions.wrapping_add(1);
        flights.by_name.clear();
        lock(&self.entries).retain(|key| !is_evicted(key));
        lock(&self.refusals).clear();
    }

    pub(crate) fn each(&self, mut look: impl FnMut(&K, &V, Remaining)) {
        let entries = lock(&self.entries);
        entries.iter(self.clock.now()).for_each(|(key, value, remaining)| look(key, value, remaining));
    }
}

/// Whoever fetches ahead of time may leave before it is done.
struct Refreshing<K: Hash + Eq + Clone, V: Clone, F> {
    cache: Arc<Cache<K, V, F>>,
    key: K,
}

impl<K: Hash + Eq + Clone, V: Clone, F> Drop for Refreshing<K, V, F> {
    fn drop(&mut self) {
        lock(&self.cache.entries).give_up(&self.key);
    }
}

enum Joined<V> {
    Landed(V),
    Flight(Flight<V>),
}

/// Errors after which a key that is still kept must not be used. Others may come from one value's
/// damaged copies, and say nothing about the key.
fn ends_use(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::KeyDisabled | ErrorKind::KeyDenied | ErrorKind::Erased)
}

fn tick(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Nothing in these critical sections panics half-way through a change.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

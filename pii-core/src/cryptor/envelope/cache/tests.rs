use std::{
    future::Future,
    pin::Pin,
    sync::atomic::AtomicU32,
    task::{Context, Poll},
};

use futures_util::future::join_all;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

/// A cache, the clock it goes by, and what it fetches with.
struct Bench {
    cache: Arc<Cache<u32, Arc<u32>>>,
    clock: Clock,
    calls: Arc<AtomicU32>,
}

impl Bench {
    fn new(limits: CacheLimits) -> Self {
        let clock = Clock::new();
        let cache = Arc::new(Cache::new(limits, clock.clone(), None));
        Self { cache, clock, calls: Arc::default() }
    }

    /// One minute of age and as much grace.
    fn of_a_minute() -> Self {
        Self::new(CacheLimits { max_age: MINUTE, grace: MINUTE, ..CacheLimits::default() })
    }

    fn fetch(&self, result: Result<u32>) -> impl FnOnce() -> BoxFuture<'static, Result<Arc<u32>>> + use<> {
        let calls = Arc::clone(&self.calls);
        move || {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                // longer than it takes that all who ask together have asked
                for _ in 0..100 {
                    yield_once().await;
                }
                result.map(Arc::new)
            }
            .boxed()
        }
    }

    async fn get(&self, key: u32, result: Result<u32>) -> Result<u32> {
        self.cache.get(key, key, 1, 1, self.fetch(result)).await.map(|value| *value)
    }

    /// What this answer becomes, and how many fetches it took.
    async fn calls_for(&self, key: u32, result: Result<u32>) -> (Result<u32>, u32) {
        self.calls.store(0, Ordering::SeqCst);
        let got = self.get(key, result).await;
        (got, self.calls.load(Ordering::SeqCst))
    }

    fn counter(&self, counter: fn(&CacheCounters) -> &AtomicU64) -> u64 {
        counter(&self.cache.counters).load(Ordering::SeqCst)
    }
}

async fn yield_once() {
    let mut is_second = false;
    std::future::poll_fn(move |context| {
        if std::mem::replace(&mut is_second, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn failure<T>(kind: ErrorKind) -> Result<T> {
    Err(Error::new(kind))
}

#[tokio::test]
async fn all_who_ask_together_share_one_flight() {
    let bench = Bench::new(CacheLimits::default());
    let got = join_all((0..50).map(|_| bench.get(1, Ok(7)))).await;
    assert!(got.into_iter().all(|value| value.unwrap() == 7));
    assert_eq!(bench.calls.load(Ordering::SeqCst), 1);
    assert_eq!(bench.calls_for(1, Ok(8)).await, (Ok(7), 0));
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }
}

#[tokio::test]
async fn a_failure_that_may_pass_is_shared_and_not_kept() {
    let bench = Bench::new(CacheLimits::default());
    let got = join_all((0..10).map(|_| bench.get(1, failure(ErrorKind::KeyThrottled)))).await;
    assert!(got.into_iter().all(|value| value.is_err()));
    assert_eq!(bench.calls.load(Ordering::SeqCst), 1);
    assert_eq!(bench.calls_for(1, Ok(7)).await, (Ok(7), 1));
}

#[tokio::test]
async fn a_refusal_is_remembered_for_a_short_time() {
    let bench = Bench::new(CacheLimits::default());
    assert_eq!(bench.calls_for(1, failure(ErrorKind::KeyMissing)).await, (failure(ErrorKind::KeyMissing), 1));
    assert_eq!(bench.calls_for(1, Ok(7)).await, (failure(ErrorKind::KeyMissing), 0));
    assert_eq!(bench.calls_for(2, Ok(8)).await, (Ok(8), 1), "of another key");
    assert_eq!(bench.counter(|counters| &counters.negative_hits), 1);
    bench.clock.advance(Duration::from_millis(1001));
    assert_eq!(bench.calls_for(1, Ok(7)).await, (Ok(7), 1));

    let never = Bench::new(CacheLimits { negative_age: Duration::ZERO, ..CacheLimits::default() });
    assert!(never.get(1, failure(ErrorKind::KeyMissing)).await.is_err());
    assert_eq!(never.calls_for(1, Ok(7)).await, (Ok(7), 1));

    let bounded = Bench::new(CacheLimits { capacity: 3, ..CacheLimits::default() });
    for key in 0..10 {
        assert!(bounded.get(key, failure(ErrorKind::KeyMissing)).await.is_err());
    }
    assert_eq!(lock(&bounded.cache.refusals).len(), 3);
}

#[tokio::test]
async fn a_flight_that_all_have_left_ends_and_the_next_one_starts_anew() {
    let bench = Bench::new(CacheLimits::default());
    let alive = Arc::new(());
    {
        let held = Arc::clone(&alive);
        let fetch = move || {
            async move {
                let _held = held;
                std::future::pending().await
            }
            .boxed()
        };
        let asked = bench.cache.get(1, 1, 1, 1, fetch);
        assert!(asked.now_or_never().is_none());
    }
    assert_eq!(Arc::strong_count(&alive), 1, "what the flight held, such as its place in the queue, is free");
    assert_eq!(bench.calls_for(1, Ok(8)).await, (Ok(8), 1));
}

#[tokio::test]
async fn a_panic_is_an_error_and_the_next_call_recovers() {
    let bench = Bench::new(CacheLimits::default());
    let panics = || async { panic!("a keyring's own fault") }.boxed();
    assert_eq!(bench.cache.get(1, 1, 1, 1, panics).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(bench.get(1, Ok(7)).await, Ok(7));
}

#[tokio::test]
async fn every_limit_ends_an_entry() {
    let calls = async |limits: CacheLimits, keys: &[u32], bytes: u64| {
        let bench = Bench::new(limits);
        for key in keys {
            bench.cache.get(*key, *key, 1, bytes, bench.fetch(Ok(1))).await.unwrap();
        }
        bench.calls.load(Ordering::SeqCst)
    };
    let limits = CacheLimits::default;
    assert_eq!(calls(CacheLimits { max_messages: 2, ..limits() }, &[1; 4], 1).await, 2);
    assert_eq!(calls(CacheLimits { max_bytes: 100, ..limits() }, &[1; 4], 60).await, 4);
    // of 1, 2 and 3 the last one and the one that was used meanwhile stay
    assert_eq!(calls(CacheLimits { capacity: 2, ..limits() }, &[1, 2, 1, 3, 1], 1).await, 3);
    assert_eq!(calls(CacheLimits { capacity: 2, ..limits() }, &[1, 2, 1, 3, 1, 2], 1).await, 4);

    let by_age = Bench::of_a_minute();
    assert_eq!(by_age.calls_for(1, Ok(1)).await, (Ok(1), 1));
    by_age.clock.advance(MINUTE);
    assert_eq!(by_age.calls_for(1, Ok(2)).await, (Ok(2), 1));
}

#[tokio::test]
async fn what_leaves_the_cache_is_dropped() {
    let bench =
        Bench::new(CacheLimits { capacity: 1, max_age: MINUTE, grace: MINUTE, ..CacheLimits::default() });
    let value = bench.cache.get(1, 1, 1, 1, bench.fetch(Ok(1))).await.unwrap();
    let first = Arc::downgrade(&value);
    drop(value);
    assert!(first.upgrade().is_some());
    let second =
        bench.cache.get(2, 2, 1, 1, bench.fetch(Ok(2))).await.map(|value| Arc::downgrade(&value)).unwrap();
    assert!(first.upgrade().is_none(), "pushed out");
    assert_eq!(bench.counter(|counters| &counters.evictions), 1);
    bench.cache.evict(|key| *key == 2);
    assert!(second.upgrade().is_none(), "evicted");
    let old =
        bench.cache.get(3, 3, 1, 1, bench.fetch(Ok(3))).await.map(|value| Arc::downgrade(&value)).unwrap();
    bench.clock.advance(2 * MINUTE);
    bench.get(4, Ok(4)).await.unwrap();
    assert!(old.upgrade().is_none(), "nobody asked for it any more");
}

#[tokio::test]
async fn an_entry_is_fetched_anew_ahead_of_its_end_by_one_caller() {
    let bench = Bench::of_a_minute();
    bench.get(1, Ok(1)).await.unwrap();
    bench.clock.advance(MINUTE / 5 * 4 - Duration::from_secs(1));
    assert_eq!(bench.calls_for(1, Ok(2)).await, (Ok(1), 0), "too early");
    bench.clock.advance(Duration::from_secs(8));
    {
        // one of them fetches; the others do not wait for it
        let mut first = Box::pin(bench.get(1, Ok(2)));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert_eq!(bench.get(1, Ok(3)).now_or_never(), Some(Ok(1)));
        assert_eq!(first.await, Ok(2));
    }
    assert_eq!(bench.counter(|counters| &counters.refreshes), 1);
    bench.clock.advance(MINUTE / 2);
    assert_eq!(bench.calls_for(1, Ok(4)).await, (Ok(2), 0), "its age begins anew");
}

#[tokio::test]
async fn who_leaves_while_fetching_anew_leaves_it_to_the_next() {
    let bench = Bench::of_a_minute();
    bench.get(1, Ok(1)).await.unwrap();
    bench.clock.advance(MINUTE / 100 * 95);
    assert_eq!(bench.get(1, Ok(2)).now_or_never(), None, "it has begun, and is dropped");
    assert_eq!(bench.calls_for(1, Ok(3)).await, (Ok(3), 1));
}

#[tokio::test]
async fn what_was_asked_for_before_an_eviction_is_not_kept() {
    let bench = Bench::of_a_minute();
    let mut before = Box::pin(bench.get(1, Ok(1)));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(before.as_mut().poll(&mut context).is_pending());
    bench.cache.evict(|_| true);
    assert_eq!(bench.get(1, Ok(2)).await, Ok(2), "asked for anew");
    assert_eq!(before.await, Ok(1));
    assert_eq!(bench.calls_for(1, Ok(3)).await, (Ok(2), 0));
}

#[tokio::test]
async fn a_refresh_can_be_given_away() {
    let spawned: Arc<Mutex<Vec<BoxFuture<'static, ()>>>> = Arc::default();
    let (clock, taken) = (Clock::new(), Arc::clone(&spawned));
    let spawn: Spawn = Arc::new(move |future| lock(&taken).push(future));
    let limits = CacheLimits { max_age: MINUTE, ..CacheLimits::default() };
    let bench = Bench {
        cache: Arc::new(Cache::new(limits, clock.clone(), Some(spawn))),
        clock,
        calls: Arc::default(),
    };
    bench.get(1, Ok(1)).await.unwrap();
    bench.clock.advance(MINUTE / 100 * 95);
    assert_eq!(bench.get(1, Ok(2)).now_or_never(), Some(Ok(1)), "nobody waits");
    let refresh = lock(&spawned).pop().unwrap();
    refresh.await;
    assert_eq!(bench.get(1, Ok(3)).now_or_never(), Some(Ok(2)));
}

#[tokio::test]
async fn a_refresh_that_fails_in_a_way_that_may_pass_changes_nothing() {
    let bench = Bench::of_a_minute();
    bench.get(1, Ok(1)).await.unwrap();
    bench.clock.advance(MINUTE / 100 * 95);
    assert_eq!(bench.calls_for(1, failure(ErrorKind::KeyUnavailable)).await, (Ok(1), 1));
    assert_eq!(bench.calls_for(1, Ok(2)).await, (Ok(1), 0), "the service is left alone for a while");
}

#[tokio::test]
async fn grace_is_for_services_that_are_throttled_or_away() {
    for kind in [ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable] {
        let bench = Bench::of_a_minute();
        bench.get(1, Ok(1)).await.unwrap();
        bench.clock.advance(MINUTE + Duration::from_secs(1));
        assert_eq!(bench.calls_for(1, failure(kind)).await, (Ok(1), 1));
        assert_eq!(
            bench.calls_for(1, failure(kind)).await,
            (Ok(1), 0),
            "not each caller waits for a time-out"
        );
        assert_eq!(bench.counter(|counters| &counters.grace_uses), 2);
        bench.clock.advance(Duration::from_secs(7));
        assert_eq!(bench.calls_for(1, failure(kind)).await, (Ok(1), 1));
        bench.clock.advance(MINUTE);
        assert_eq!(bench.calls_for(1, failure(kind)).await, (failure(kind), 1), "the grace is over");
    }
    let without =
        Bench::new(CacheLimits { max_age: MINUTE, grace: Duration::ZERO, ..CacheLimits::default() });
    without.get(1, Ok(1)).await.unwrap();
    without.clock.advance(MINUTE);
    assert!(without.get(1, failure(ErrorKind::KeyThrottled)).await.is_err());
}

#[tokio::test]
async fn disabled_denied_and_erased_keys_leave_at_once() {
    for kind in [ErrorKind::KeyDisabled, ErrorKind::KeyDenied, ErrorKind::Erased] {
        let bench = Bench::of_a_minute();
        bench.get(1, Ok(1)).await.unwrap();
        // still within its age
        bench.clock.advance(MINUTE / 100 * 95);
        assert_eq!(bench.get(1, failure(kind)).await, failure(kind));
        bench.clock.advance(Duration::from_secs(2));
        assert_eq!(
            bench.get(1, failure(ErrorKind::KeyUnavailable)).await,
            failure(ErrorKind::KeyUnavailable),
            "no grace"
        );
    }
}

/// Flights are named by more than the key here, as for copies that travel in values.
#[tokio::test]
async fn damaged_copies_do_not_take_the_key_from_others() {
    let bench = Bench::of_a_minute();
    bench.get(1, Ok(1)).await.unwrap();
    bench.clock.advance(MINUTE / 100 * 95);
    let damaged = bench.cache.get(1, 99, 1, 1, bench.fetch(failure(ErrorKind::ContextMismatch))).await;
    assert_eq!(damaged.map(|value| *value), Ok(1), "the kept key was verified");
    bench.clock.advance(Duration::from_secs(4));
    let damaged = bench.cache.get(1, 99, 1, 1, bench.fetch(failure(ErrorKind::ContextMismatch))).await;
    assert!(damaged.is_err());
    assert_eq!(
        bench.calls_for(1, failure(ErrorKind::KeyUnavailable)).await,
        (Ok(1), 1),
        "grace is left to others"
    );
}

/// Three callers who are polled, or give up, in every order of up to eight steps.
#[test]
fn no_order_of_polls_and_departures_strands_anybody_or_fetches_twice_at_once() {
    const CALLERS: usize = 3;
    const STEPS: u32 = 8;
    // each step polls or drops one of the callers
    for order in 0..(2 * CALLERS).pow(STEPS) {
        let bench = Bench::new(CacheLimits::default());
        let flying = Arc::new(AtomicU32::new(0));
        let fetch = || {
            let (flying, calls) = (Arc::clone(&flying), Arc::clone(&bench.calls));
            move || {
                struct Landing(Arc<AtomicU32>);
                impl Drop for Landing {
                    fn drop(&mut self) {
                        self.0.fetch_sub(1, Ordering::SeqCst);
                    }
                }
                calls.fetch_add(1, Ordering::SeqCst);
                assert_eq!(flying.fetch_add(1, Ordering::SeqCst), 0, "two flights at once");
                let landing = Landing(flying);
                async move {
                    let _landing = landing;
                    yield_once().await;
                    yield_once().await;
                    Ok(Arc::new(7))
                }
                .boxed()
            }
        };
        type Caller<'a> = Pin<Box<dyn Future<Output = Result<Arc<u32>>> + 'a>>;
        let mut callers: Vec<Option<Caller<'_>>> =
            (0..CALLERS).map(|_| Some(Box::pin(bench.cache.get(1, 1, 1, 1, fetch())) as _)).collect();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut rest = order;
        for _ in 0..STEPS {
            let (caller, gives_up) = (rest % CALLERS, rest / CALLERS % 2 == 1);
            rest /= 2 * CALLERS;
            let Some(future) = &mut callers[caller] else { continue };
            if gives_up {
                callers[caller] = None;
            } else if let Poll::Ready(got) = future.as_mut().poll(&mut context) {
                assert_eq!(*got.unwrap(), 7);
                callers[caller] = None;
            }
        }
        for caller in callers.into_iter().flatten() {
            assert_eq!(*caller.now_or_never_in(8).unwrap(), 7);
        }
        assert_eq!(*bench.cache.get(1, 1, 1, 1, fetch()).now_or_never_in(8).unwrap(), 7);
    }
}

trait NowOrNeverIn: Future + Sized {
    /// The output of a future that is ready after a few polls.
    fn now_or_never_in(self, polls: usize) -> Self::Output {
        let mut future = Box::pin(self);
        let mut context = Context::from_waker(std::task::Waker::noop());
        for _ in 0..polls {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
        panic!("stranded");
    }
}

impl<F: Future> NowOrNeverIn for F {}

//! The application keys in use: loaded once for all who need them, refreshed when old.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use futures_core::future::BoxFuture;
use futures_util::{FutureExt as _, future::Shared};

use super::{AppKeySource, AppKeys};
use crate::{
    error::{Error, ErrorKind, Result},
    wire::KeyId,
};

/// When the source is asked.
#[derive(Clone, Copy)]
pub(crate) struct Timing {
    /// Loaded keys are asked for anew after this time. If the source is unavailable then, they are
    /// used for as long again.
    pub(crate) max_age: Duration,
    /// At least this long between two loads because of unknown key ids, and between two attempts
    /// while the source is unavailable.
    pub(crate) pause: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(300), pause: Duration::from_secs(5) }
    }
}

/// A source of application keys with what it gave last.
pub(crate) struct LoadedAppKeys {
    source: Arc<dyn AppKeySource>,
    timing: Timing,
    state: Arc<Mutex<State>>,
    loads: AtomicU64,
}

#[derive(Default)]
struct State {
    loaded: Option<(AppKeys, Instant)>,
    flight: Option<Flight>,
    /// the last load because of an unknown key id
    for_unknown: Option<Instant>,
    /// the last attempt, if it failed
    failed: Option<(Error, Instant)>,
}

type Flight = Shared<BoxFuture<'static, Result<AppKeys>>>;

impl LoadedAppKeys {
    pub(crate) fn new(source: Arc<dyn AppKeySource>) -> Self {
        Self::with_timing(source, Timing::default())
    }

    pub(crate) fn with_timing(source: Arc<dyn AppKeySource>, timing: Timing) -> Self {
        Self { source, timing, state: Arc::default(), loads: AtomicU64::new(0) }
    }

    /// The keys: kept, or loaded once for all who ask meanwhile.
    pub(crate) async fn current(&self) -> Result<AppKeys> {
        let (flight, old) = {
            let mut state = lock(&self.state);
            let old = match &state.loaded {
                Some((keys, since)) if since.elapsed() < self.timing.max_age => return Ok(keys.clone()),
                Some((keys, since)) if since.elapsed() < self.timing.max_age.saturating_mul(2) => {
                    let failed_lately = |(error, at): &(Error, Instant)| {
                        error.is_retryable() && at.elapsed() < self.timing.pause
                    };
                    if state.failed.as_ref().is_some_and(failed_lately) {
                        return Ok(keys.clone());
                    }
                    Some(keys.clone())
                }
                _ => None,
            };
            (self.flight(&mut state), old)
        };
        match (flight.await, old) {
            (Err(error), Some(old)) if error.is_retryable() => {
                tracing::warn!(%error, "the application keys could not be refreshed; the old ones are used");
                Ok(old)
            }
            (result, _) => result,
        }
    }

    /// The keys, if they are loaded and not to be loaded anew.
    pub(crate) fn at_hand(&self) -> Option<AppKeys> {
        let state = lock(&self.state);
        let (keys, since) = state.loaded.as_ref()?;
        (since.elapsed() < self.timing.max_age).then(|| keys.clone())
    }

    /// The keys after values named these keys, which were not among the current ones: loaded anew,
    /// unless that was done lately or others have done it.
    pub(crate) async fn after_unknown(&self, key_ids: &[KeyId]) -> Result<AppKeys> {
        let flight = {
            let mut state = lock(&self.state);
            if let Some((keys, _)) = &state.loaded {
                if key_ids.iter().all(|key_id| keys.find(*key_id).is_some()) {
                    return Ok(keys.clone());
                }
                let was_lately = state.for_unknown.is_some_and(|at| at.elapsed() < self.timing.pause);
                if was_lately && state.flight.is_none() {
                    return match &state.failed {
                        Some((error, _)) => Err(error.clone()),
                        None => Ok(keys.clone()),
                    };
                }
            }
            state.for_unknown = Some(Instant::now());
            self.flight(&mut state)
        };
        flight.await
    }

    /// How often the source was asked.
    pub(crate) fn loads(&self) -> u64 {
        self.loads.load(Ordering::Relaxed)
    }

    /// The flight that is under way, or a new one.
    fn flight(&self, state: &mut State) -> Flight {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        self.loads.fetch_add(1, Ordering::Relaxed);
        let (source, shared) = (Arc::clone(&self.source), Arc::clone(&self.state));
        let flight = async move {
            let load = AssertUnwindSafe(async move { source.load().await }).catch_unwind();
            let result = load.await.unwrap_or_else(|_| {
                // a load that ended by a panic must not strand all later ones
                Err(Error::new(ErrorKind::KeyUnavailable)
                    .message("the source of the application keys panicked"))
            });
            let mut state = lock(&shared);
            state.flight = None;
            match &result {
                Ok(keys) => {
                    state.loaded = Some((keys.clone(), Instant::now()));
                    state.failed = None;
                }
                Err(error) => {
                    // who may not have the keys any more must not go on using them
                    if matches!(error.kind(), ErrorKind::KeyDenied | ErrorKind::KeyDisabled) {
                        state.loaded = None;
                    }
                    state.failed = Some((error.clone(), Instant::now()));
                }
            }
            result
        };
        let flight = flight.boxed().shared();
        state.flight = Some(flight.clone());
        flight
    }
}

/// Nothing in these critical sections panics half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, iter};

    use super::*;

    /// Gives one result after the other, then none.
    struct Scripted(Mutex<VecDeque<Result<AppKeys>>>);

    impl AppKeySource for Scripted {
        fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
            let next = lock(&self.0).pop_front().expect("the source is asked too often");
            Box::pin(async {
                tokio::task::yield_now().await;
                next
            })
        }
    }

    fn keys(version: u32) -> AppKeys {
        let secret = version.to_string().repeat(32);
        AppKeys::from_json(&format!(
            r#"{{"app_encryption_keys": {{"a_v{version}": "{secret}", "current_version": {version}}}}}"#
        ))
        .unwrap()
    }

    fn scripted(results: impl IntoIterator<Item = Result<AppKeys>>) -> LoadedAppKeys {
        let source = Scripted(Mutex::new(results.into_iter().collect()));
        // a pause that no slow machine outlasts
        let timing = Timing { pause: Duration::from_secs(60), ..Timing::default() };
        LoadedAppKeys::with_timing(Arc::new(source), timing)
    }

    /// As if the keys had been loaded, and the last attempts been made, so long ago.
    fn age(loaded: &LoadedAppKeys, seconds: u64) {
        let mut state = lock(&loaded.state);
        let age = |at: &mut Instant| *at = at.checked_sub(Duration::from_secs(seconds)).unwrap();
        state.loaded.iter_mut().for_each(|(_, since)| age(since));
        state.for_unknown.iter_mut().for_each(age);
        state.failed.iter_mut().for_each(|(_, at)| age(at));
    }

    async fn version(loaded: &LoadedAppKeys) -> Result<u32> {
        loaded.current().await.map(|keys| keys.current_version())
    }

    const NOBODY: KeyId = KeyId([0; 16]);

    fn fails(kind: ErrorKind) -> Result<AppKeys> {
        Err(Error::new(kind))
    }

    #[tokio::test]
    async fn all_who_ask_share_one_load_until_it_is_old() {
        let loaded = scripted([Ok(keys(1)), Ok(keys(2))]);
        let asked = futures_util::future::join_all((0..50).map(|_| version(&loaded))).await;
        assert!(asked.into_iter().all(|version| version.unwrap() == 1));
        age(&loaded, 200);
        assert_eq!(version(&loaded).await.unwrap(), 1);
        age(&loaded, 200);
        assert_eq!(version(&loaded).await.unwrap(), 2);
        assert_eq!(loaded.loads(), 2);
    }

    #[tokio::test]
    async fn a_first_load_that_fails_is_an_error_and_not_kept() {
        let loaded = scripted([fails(ErrorKind::KeyUnavailable), Ok(keys(1))]);
        assert_eq!(version(&loaded).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
        assert_eq!(version(&loaded).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_source_that_is_unavailable_does_not_take_the_keys_away_at_once() {
        for kind in [ErrorKind::KeyUnavailable, ErrorKind::KeyThrottled] {
            let loaded = scripted(iter::once(Ok(keys(1))).chain((0..3).map(|_| fails(kind))));
            version(&loaded).await.unwrap();
            age(&loaded, 301);
            for _ in 0..10 {
                assert_eq!(version(&loaded).await.unwrap(), 1);
            }
            assert_eq!(loaded.loads(), 2, "it is not asked again and again");
            age(&loaded, 100);
            assert_eq!(version(&loaded).await.unwrap(), 1);
            assert_eq!(loaded.loads(), 3);
            age(&loaded, 300);
            assert_eq!(version(&loaded).await.unwrap_err().kind(), kind, "the grace is over");
        }
    }

    #[tokio::test]
    async fn other_failures_are_errors_once_the_keys_are_old() {
        for kind in [ErrorKind::KeyDenied, ErrorKind::KeyMissing, ErrorKind::Configuration] {
            let loaded = scripted([Ok(keys(1)), fails(kind), fails(kind), Ok(keys(2))]);
            version(&loaded).await.unwrap();
            age(&loaded, 301);
            assert_eq!(version(&loaded).await.unwrap_err().kind(), kind);
            assert_eq!(version(&loaded).await.unwrap_err().kind(), kind);
            assert_eq!(version(&loaded).await.unwrap(), 2);
        }
    }

    #[tokio::test]
    async fn an_unknown_key_id_makes_it_ask_once_in_a_while() {
        let loaded = scripted([Ok(keys(1)), Ok(keys(2)), Ok(keys(3))]);
        version(&loaded).await.unwrap();
        for _ in 0..10 {
            let unknown: Vec<KeyId> = (0..100).map(|byte| KeyId([byte; 16])).collect();
            assert_eq!(loaded.after_unknown(&unknown).await.unwrap().current_version(), 2);
        }
        assert_eq!(loaded.loads(), 2);
        age(&loaded, 61);
        assert_eq!(loaded.after_unknown(&[NOBODY]).await.unwrap().current_version(), 3);
    }

    #[tokio::test]
    async fn keys_that_others_have_loaded_meanwhile_need_no_load() {
        let loaded = scripted([Ok(keys(1))]);
        version(&loaded).await.unwrap();
        let known = keys(1).current().id();
        assert!(loaded.after_unknown(&[known]).await.unwrap().find(known).is_some());
        assert_eq!(loaded.loads(), 1);
    }

    #[tokio::test]
    async fn a_failed_load_for_an_unknown_key_leaves_the_known_ones() {
        let loaded = scripted([Ok(keys(1)), fails(ErrorKind::Configuration)]);
        version(&loaded).await.unwrap();
        for _ in 0..3 {
            let error = loaded.after_unknown(&[NOBODY]).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
        }
        assert_eq!(version(&loaded).await.unwrap(), 1);
        assert_eq!(loaded.loads(), 2);
    }

    #[tokio::test]
    async fn who_may_not_have_the_keys_any_more_loses_them_at_once() {
        for kind in [ErrorKind::KeyDenied, ErrorKind::KeyDisabled] {
            let loaded = scripted([Ok(keys(1)), fails(kind), fails(kind)]);
            version(&loaded).await.unwrap();
            assert_eq!(loaded.after_unknown(&[NOBODY]).await.unwrap_err().kind(), kind);
            assert_eq!(version(&loaded).await.unwrap_err().kind(), kind);
        }
    }

    #[tokio::test]
    async fn one_who_gives_up_does_not_strand_the_others() {
        let loaded = scripted([Ok(keys(1))]);
        // polled once, then dropped: the source has yielded, so it can't have landed
        assert!(loaded.current().now_or_never().is_none());
        assert_eq!(version(&loaded).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_next_call_recovers() {
        let loaded = scripted([]);
        assert_eq!(version(&loaded).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
        let gives = Scripted(Mutex::new([Ok(keys(1))].into()));
        let loaded = LoadedAppKeys { source: Arc::new(gives), ..loaded };
        assert_eq!(version(&loaded).await.unwrap(), 1);
    }
}

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
                Err(Error::new(ErrorKind::KeyUnavailable).message("the source of the application keys panicked"))
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

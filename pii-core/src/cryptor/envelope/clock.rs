//! Time for the cache: it only goes forward, whatever the system's clock does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// The clock of a data-key cache, which tests can put forward. Clones show the same time.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    /// milliseconds
    ahead: Arc<AtomicU64>,
}

impl Clock {
    /// A clock that shows the time since now.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), ahead: Arc::default() }
    }

    /// Puts the clock forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        self.ahead.fetch_add(u64::try_from(by.as_millis()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed().saturating_add(Duration::from_millis(self.ahead.load(Ordering::SeqCst)))
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

//! What is counted before values come to a backend.

use std::sync::atomic::{AtomicU64, Ordering};

use super::CryptorStats;

/// What cryptors count themselves, all clones together.
#[derive(Default)]
pub(super) struct Counters {
    plaintexts_accepted: AtomicU64,
    legacy_opened: AtomicU64,
    legacy_refused: AtomicU64,
    legacy_sealed: AtomicU64,
}

impl Counters {
    pub(super) fn plaintexts_accepted(&self, values: usize) {
        self.plaintexts_accepted.fetch_add(u64::try_from(values).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn legacy_opened(&self, is_opened: bool) {
        let counter = if is_opened { &self.legacy_opened } else { &self.legacy_refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn legacy_sealed(&self, values: usize) {
        self.legacy_sealed.fetch_add(u64::try_from(values).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Adds them to those of the backend.
    pub(super) fn add_to(&self, stats: CryptorStats) -> CryptorStats {
        CryptorStats {
            refused: stats.refused + self.legacy_refused.load(Ordering::Relaxed),
            plaintexts_accepted: self.plaintexts_accepted.load(Ordering::Relaxed),
            legacy_opened: self.legacy_opened.load(Ordering::Relaxed),
            legacy_sealed: self.legacy_sealed.load(Ordering::Relaxed),
            ..stats
        }
    }
}

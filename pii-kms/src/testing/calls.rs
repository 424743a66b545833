//! What was called: counters, and a log of the last calls.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
};

use super::{error::ErrorCode, operation::Operation};

/// Older entries of the log are forgotten.
const LOG_ENTRIES: usize = 10_000;

/// One call. It holds no plaintext; `Debug` leaves out the values of the encryption context.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRecord {
    /// The role that called.
    pub role: String,
    /// What was called.
    pub operation: Operation,
    /// The ARN of the key or secret, or what the caller named if there is none; of `ReEncrypt` the
    /// destination.
    pub resource: Option<String>,
    /// The encryption context; of `ReEncrypt` that of the destination.
    pub context: BTreeMap<String, String>,
    /// `None` if it succeeded.
    pub error: Option<ErrorCode>,
}

impl fmt::Debug for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallRecord")
            .field("role", &self.role)
            .field("operation", &self.operation)
            .field("resource", &self.resource)
            .field("context", &self.context.keys().collect::<Vec<_>>())
            .field("error", &self.error)
            .finish()
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    counters: BTreeMap<Operation, u64>,
    log: VecDeque<CallRecord>,
}

impl Calls {
    pub(super) fn count(&mut self, operation: Operation) {
        let counter = self.counters.entry(operation).or_default();
        *counter = counter.saturating_add(1);
    }

    pub(super) fn of(&self, operation: Operation) -> u64 {
        self.counters.get(&operation).copied().unwrap_or_default()
    }

    pub(super) fn total(&self) -> u64 {
        self.counters.values().sum()
    }

    pub(super) fn reset(&mut self) {
        self.counters.clear();
        self.log.clear();
    }

    pub(super) fn record(&mut self, record: CallRecord) {
        if self.log.len() == LOG_ENTRIES {
            self.log.pop_front();
        }
        self.log.push_back(record);
    }

    pub(super) fn log(&self) -> Vec<CallRecord> {
        self.log.iter().cloned().collect()
    }
}

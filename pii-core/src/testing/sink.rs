//! An audit sink that keeps what it gets.

use std::sync::{Arc, Mutex, PoisonError};

use futures_core::future::BoxFuture;

use crate::{AuditEvent, AuditSink, Error, ErrorKind, Result};

/// Collects audit events in memory, and fails when told to. Clones share what was collected.
#[derive(Debug, Clone, Default)]
pub struct CollectingSink {
    events: Arc<Mutex<Vec<AuditEvent>>>,
    fails: Arc<Mutex<bool>>,
}

impl CollectingSink {
    /// An empty sink.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether recording fails from now on.
    pub fn set_failing(&self, fails: bool) {
        *self.fails.lock().unwrap_or_else(PoisonError::into_inner) = fails;
    }

    /// What was collected since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<AuditEvent> {
        std::mem::take(&mut *self.events.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AuditSink for CollectingSink {
    fn record<'a>(&'a self, events: &'a [AuditEvent]) -> BoxFuture<'a, Result<()>> {
        let result = if *self.fails.lock().unwrap_or_else(PoisonError::into_inner) {
            Err(Error::new(ErrorKind::Audit).message("a collecting sink was told to fail"))
        } else {
            self.events.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(events);
            Ok(())
        };
        Box::pin(std::future::ready(result))
    }
}

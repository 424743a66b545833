//! What goes wrong on demand, and how long calls take.

use std::time::{Duration, Instant};

use super::{
    error::{ErrorCode, FakeError},
    operation::Operation,
};

/// Something that the service does instead of its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `ThrottlingException`.
    Throttled,
    /// `KMSInternalException`, of Secrets Manager `InternalServiceError`: status 500.
    Internal,
    /// `DependencyTimeoutException`: status 500.
    DependencyTimeout,
    /// `KeyUnavailableException`: status 500.
    KeyUnavailable,
    /// The connection is closed without an answer. A client may try again on a new one by itself,
    /// before any policy for retries.
    ConnectionDropped,
}

impl Fault {
    /// For the next `calls` calls.
    #[must_use]
    pub fn times(self, calls: u64) -> FaultPlan {
        FaultPlan { fault: self, operation: None, extent: Extent::Calls(calls) }
    }

    /// For this long, beginning with its injection.
    #[must_use]
    pub fn during(self, time: Duration) -> FaultPlan {
        FaultPlan { fault: self, operation: None, extent: Extent::Time(time) }
    }

    /// Until faults are cleared.
    #[must_use]
    pub fn until_cleared(self) -> FaultPlan {
        FaultPlan { fault: self, operation: None, extent: Extent::Always }
    }

    fn error(self) -> FakeError {
        match self {
            Self::Throttled => FakeError::new(
                ErrorCode::Throttling,
                "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.",
            ),
            Self::Internal => FakeError::new(ErrorCode::Internal, "an internal fault, on demand"),
            Self::DependencyTimeout => FakeError::new(ErrorCode::DependencyTimeout, "a time-out, on demand"),
            Self::KeyUnavailable => FakeError::new(ErrorCode::KeyUnavailable, "an outage, on demand"),
            Self::ConnectionDropped => FakeError::new(ErrorCode::ConnectionDropped, "on demand"),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Extent {
    Calls(u64),
    Time(Duration),
    Until(Instant),
    Always,
}

/// A fault, and for which calls.
#[derive(Debug, Clone)]
pub struct FaultPlan {
    fault: Fault,
    operation: Option<Operation>,
    extent: Extent,
}

impl FaultPlan {
    /// Of this operation only.
    #[must_use]
    pub fn on(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }
}

#[derive(Debug, Default)]
pub(super) struct Faults {
    plans: Vec<FaultPlan>,
    latency: Duration,
    latency_of: Vec<(Operation, Duration)>,
}

impl Faults {
    pub(super) fn inject(&mut self, mut plan: FaultPlan) {
        if let Extent::Time(time) = plan.extent {
            // a time beyond the clock's range has no end
            plan.extent = Instant::now().checked_add(time).map_or(Extent::Always, Extent::Until);
        }
        self.plans.push(plan);
    }

    pub(super) fn clear(&mut self) {
        self.plans.clear();
    }

    pub(super) fn set_latency(&mut self, operation: Option<Operation>, latency: Duration) {
        let Some(operation) = operation else {
            self.latency = latency;
            self.latency_of.clear();
            return;
        };
        self.latency_of.retain(|(other, _)| *other != operation);
        self.latency_of.push((operation, latency));
    }

    pub(super) fn latency(&self, operation: Operation) -> Duration {
        let own = self.latency_of.iter().find(|(other, _)| *other == operation);
        own.map_or(self.latency, |(_, latency)| *latency)
    }

    /// The fault of a call that arrives now: the one that was injected first.
    pub(super) fn next(&mut self, operation: Operation) -> Option<FakeError> {
        let now = Instant::now();
        self.plans.retain(|plan| match plan.extent {
            Extent::Calls(left) => left > 0,
            Extent::Until(end) => now < end,
            Extent::Time(_) | Extent::Always => true,
        });
        let plan = self.plans.iter_mut().find(|plan| plan.operation.is_none_or(|only| only == operation))?;
        if let Extent::Calls(left) = &mut plan.extent {
            *left = left.saturating_sub(1);
        }
        Some(plan.fault.error())
    }
}

//! What a test does to the fake, and what it learns from it: permissions, faults, counters.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{
    AccessRequest, CallRecord, FakeError, FakeKms, FaultPlan, Operation, PolicyError, access::Rules,
    error::Answer, policy::Policy,
};

/// Permissions of this role.
impl FakeKms {
    /// Denies an operation whenever the predicate says so. `ReEncrypt` asks twice, for the key of
    /// the blob and for the new one.
    pub fn deny(
        &self,
        operation: Operation,
        predicate: impl Fn(&AccessRequest<'_>) -> bool + Send + Sync + 'static,
    ) {
        self.rules().deny(operation, Arc::new(predicate));
    }

    /// Denies every operation that is not listed.
    pub fn allow_only(&self, operations: impl IntoIterator<Item = Operation>) {
        self.rules().allow_only(operations.into_iter().collect());
    }

    /// Adds the statements of an IAM policy. From then on nothing is allowed without a statement,
    /// and an explicit `Deny` wins.
    ///
    /// Understood are, with text or lists of texts: `Version` (`2012-10-17`), `Id`, `Statement`,
    /// `Sid`, `Effect`, `Action` and `Resource` with wildcards, and `Condition` with
    /// `StringEquals`, `StringNotEquals` and `StringLike` on `kms:EncryptionContext:NAME`,
    /// `ForAllValues:StringEquals` and `ForAnyValue:StringEquals` on `kms:EncryptionContextKeys`,
    /// and `Null` on both. `NAME` is compared exactly, while AWS ignores its case.
    ///
    /// # Errors
    /// [`PolicyError`] for JSON that is none, for every element, operator, key or variable that
    /// is not in this list, and for an action that does not exist.
    pub fn apply_iam_policy(&self, json: &str) -> Result<(), PolicyError> {
        let policy = Policy::parse(json)?;
        self.rules().add_policy(policy);
        Ok(())
    }

    /// Allows everything again.
    pub fn clear_rules(&self) {
        *self.rules() = Rules::default();
    }
}

/// Faults, latency, counters: the same for all roles.
impl FakeKms {
    /// Adds a fault. If several are for a call, the one that was added first takes it.
    pub fn inject(&self, plan: FaultPlan) {
        self.faults().inject(plan);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        self.faults().clear();
    }

    /// Every call takes this much longer; latencies of single operations are forgotten.
    pub fn set_latency(&self, latency: Duration) {
        self.faults().set_latency(None, latency);
    }

    /// Calls of this operation take this much longer, whatever the others take.
    pub fn set_latency_of(&self, operation: Operation, latency: Duration) {
        self.faults().set_latency(Some(operation), latency);
    }

    /// How many calls of an operation arrived, failed ones included.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.calls_seen().of(operation)
    }

    /// How many calls arrived.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        self.calls_seen().total()
    }

    /// Sets the counters to zero and empties the log.
    pub fn reset_counters(&self) {
        self.calls_seen().reset();
    }

    /// The last 10,000 calls in the order in which they ended. A call that the caller gave up, by
    /// dropping it in process, is counted and not logged.
    #[must_use]
    pub fn call_log(&self) -> Vec<CallRecord> {
        self.calls_seen().log()
    }
}

/// A call on its way: counted, and its fate known.
pub(super) struct Arrival {
    operation: Operation,
    pub(super) delay: Duration,
    fault: Option<FakeError>,
}

/// What the log tells about a call.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) resource: Option<String>,
    pub(super) context: BTreeMap<String, String>,
}

impl FakeKms {
    pub(super) fn arrive(&self, operation: Operation) -> Arrival {
        self.calls_seen().count(operation);
        let mut faults = self.faults();
        Arrival { operation, delay: faults.latency(operation), fault: faults.next(operation) }
    }

    /// Does the work of a call whose delay is over, and logs it.
    pub(super) fn complete<T>(
        &self,
        arrival: Arrival,
        work: impl FnOnce(&mut Seen) -> Answer<T>,
    ) -> Answer<T> {
        let mut seen = Seen::default();
        let answer = match arrival.fault {
            Some(fault) => Err(fault),
            None => work(&mut seen),
        };
        self.calls_seen().record(CallRecord {
            role: self.role_name().to_owned(),
            operation: arrival.operation,
            resource: seen.resource,
            context: seen.context,
            error: answer.as_ref().err().map(FakeError::code),
        });
        answer
    }

    /// No lock is held while predicates run: they may use the fake.
    pub(super) fn check_access(
        &self,
        operation: Operation,
        action: &'static str,
        resource: &str,
        context: &BTreeMap<String, String>,
    ) -> Answer<()> {
        let rules = self.rules().clone();
        rules.check(&AccessRequest { role: self.role_name(), operation, action, resource, context })
    }
}

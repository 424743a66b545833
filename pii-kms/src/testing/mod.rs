//! A KMS for tests, stricter than the real one, and Secrets Manager beside it.
//!
//! [`FakeKms`] is one region of one account, in memory. It can be used in two ways: as a keyring in
//! the same process ([`FakeKms::keyring`]), and as an HTTP server on 127.0.0.1 that the AWS SDK
//! talks to ([`FakeKms::serve`]). Both see the same keys, rules, faults and counters.
//!
//! ```
//! use pii_kms::testing::{FakeKms, Fault, Operation};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let kms = FakeKms::new("eu-central-1", "111122223333");
//! let key = kms.create_key()?;                       // the ARN
//! kms.set_alias("alias/pii", &key)?;
//!
//! let server = kms.serve().await?;
//! println!("endpoint for the SDK: {}", server.endpoint());
//!
//! kms.deny(Operation::Decrypt, |request| request.context("pii:purpose") == Some("drop"));
//! kms.inject(Fault::Throttled.times(3).on(Operation::GenerateDataKey));
//! assert_eq!(kms.calls(Operation::Decrypt), 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What is stricter
//! - Blobs are bound to key and encryption context without ambiguity, and have one encoding only.
//! - Members that an operation does not have are an error, as are contexts with an empty name.
//! - A request must be signed for the region and service of this fake. The signature itself is not
//!   checked: any credentials do.
//! - A grant token that no key was promised is refused.
//! - A blob from elsewhere is an `InvalidCiphertextException`, where the real service may say
//!   `AccessDeniedException`.
//!
//! # What is missing
//! Key policies and grants as objects, asymmetric and HMAC keys, imported material, key pairs other
//! than P-256, everything that manages keys over HTTP. Changes take effect at once, while the real
//! service is eventually consistent.

mod access;
mod blob;
mod calls;
mod context;
mod error;
mod faults;
mod keyring;
mod keys;
mod operation;
mod operations;
mod policy;
mod random;
mod registry;
mod secrets;
mod server;
mod sleep;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

pub use access::AccessRequest;
pub use calls::CallRecord;
pub use error::{ErrorCode, FakeError};
pub use faults::{Fault, FaultPlan};
pub use keyring::FakeKmsKeyring;
pub use keys::{KeyOptions, KeyState};
pub use operation::Operation;
pub use policy::PolicyError;
pub use server::FakeKmsServer;

use access::Rules;
use calls::Calls;
use error::Answer;
use faults::Faults;
use policy::Policy;
use registry::Registry;

/// A result whose error is [`FakeError`].
pub type Result<T, E = FakeError> = std::result::Result<T, E>;

/// One region of one account: keys, aliases, secrets, and the means to make trouble.
///
/// Clones are handles on the same service. [`FakeKms::role`] gives a handle with permissions of its
/// own.
#[derive(Clone)]
pub struct FakeKms {
    shared: Arc<Shared>,
    role: Arc<Role>,
}

struct Shared {
    registry: Mutex<Registry>,
    faults: Mutex<Faults>,
    calls: Mutex<Calls>,
}

struct Role {
    name: String,
    rules: Mutex<Rules>,
}

impl FakeKms {
    /// A service without keys.
    #[must_use]
    pub fn new(region: &str, account: &str) -> Self {
        let shared = Shared {
            registry: Mutex::new(Registry::new(region, account)),
            faults: Mutex::default(),
            calls: Mutex::default(),
        };
        Self { shared: Arc::new(shared), role: Role::new("default") }
    }

    /// A handle for another caller of the same service: its rules and policies are its own, and
    /// there are none at first.
    #[must_use]
    pub fn role(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), role: Role::new(name) }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> String {
        self.registry().region.clone()
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> String {
        self.registry().account.clone()
    }
}

/// Keys. Wherever a key is named, its id, ARN, alias or alias ARN will do.
impl FakeKms {
    /// Makes an enabled symmetric key and gives its ARN.
    ///
    /// # Errors
    /// [`ErrorCode::Internal`] if the operating system gives no random bytes.
    pub fn create_key(&self) -> Result<String> {
        self.create_key_with(KeyOptions::default())
    }

    /// Makes an enabled symmetric key with these options and gives its ARN.
    ///
    /// # Errors
    /// As [`FakeKms::create_key`].
    pub fn create_key_with(&self, options: KeyOptions) -> Result<String> {
        self.registry().create(options)
    }

    /// Makes a replica of a multi-Region key in another region of the account. It opens what the
    /// others seal. Gives its ARN.
    ///
    /// # Errors
    /// [`ErrorCode::UnsupportedOperation`] for a key of one region, [`ErrorCode::AlreadyExists`],
    /// [`ErrorCode::Validation`] for another account, [`ErrorCode::NotFound`].
    pub fn replicate_key(&self, key: &str, to: &Self) -> Result<String> {
        let original = self.registry().resolve(key)?.clone();
        to.registry().add_replica(&original)
    }

    /// Gives a key another state.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn set_key_state(&self, key: &str, state: KeyState) -> Result<()> {
        self.registry().resolve_mut(key)?.state = state;
        Ok(())
    }

    /// Deletes a key for good, at once, with its aliases: it is not found any more.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn delete_key(&self, key: &str) -> Result<()> {
        self.registry().delete(key)
    }

    /// Adds a version of the key's material, which encrypts from now on; older ones still decrypt.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`]; [`ErrorCode::Internal`] without random bytes.
    pub fn rotate_key(&self, key: &str) -> Result<()> {
        self.registry().resolve(key)?.material.rotate()
    }

    /// Makes an alias (`alias/name`), or points it to another key.
    ///
    /// # Errors
    /// [`ErrorCode::Validation`] for what is no alias name, [`ErrorCode::NotFound`].
    pub fn set_alias(&self, alias: &str, key: &str) -> Result<()> {
        self.registry().set_alias(alias, key)
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn remove_alias(&self, alias: &str) -> Result<()> {
        self.registry().remove_alias(alias)
    }

    /// From now on an operation with this key needs this grant token, or another one that was set
    /// for both. Without any, or with one for something else, access is denied.
    ///
    /// # Errors
    /// [`ErrorCode::NotFound`].
    pub fn require_grant_token(&self, key: &str, operation: Operation, token: &str) -> Result<()> {
        self.registry().resolve_mut(key)?.grant_tokens.push((operation, token.to_owned()));
        Ok(())
    }
}

/// Secrets.
impl FakeKms {
    /// Makes a secret, or a new version of it: that one is `AWSCURRENT`, the last one
    /// `AWSPREVIOUS`. Gives the secret's ARN and the version's id.
    ///
    /// # Errors
    /// [`ErrorCode::Validation`] for a name that is none; [`ErrorCode::Internal`] without random
    /// bytes.
    pub fn put_secret(&self, name: &str, text: &str) -> Result<(String, String)> {
        self.registry().secrets.put(name, text)
    }

    /// Deletes a secret at once.
    ///
    /// # Errors
    /// [`ErrorCode::ResourceNotFound`].
    pub fn delete_secret(&self, name_or_arn: &str) -> Result<()> {
        self.registry().secrets.delete(name_or_arn)
    }
}

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
        lock(&self.shared.faults).inject(plan);
    }

    /// Ends all faults.
    pub fn clear_faults(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Every call takes this much longer; latencies of single operations are forgotten.
    pub fn set_latency(&self, latency: Duration) {
        lock(&self.shared.faults).set_latency(None, latency);
    }

    /// Calls of this operation take this much longer, whatever the others take.
    pub fn set_latency_of(&self, operation: Operation, latency: Duration) {
        lock(&self.shared.faults).set_latency(Some(operation), latency);
    }

    /// How many calls of an operation arrived, failed ones included.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        lock(&self.shared.calls).of(operation)
    }

    /// How many calls arrived.
    #[must_use]
    pub fn total_calls(&self) -> u64 {
        lock(&self.shared.calls).total()
    }

    /// Sets the counters to zero and empties the log.
    pub fn reset_counters(&self) {
        lock(&self.shared.calls).reset();
    }

    /// The last 10,000 calls in the order in which they ended. A call that the caller gave up, by
    /// dropping it in process, is counted and not logged.
    #[must_use]
    pub fn call_log(&self) -> Vec<CallRecord> {
        lock(&self.shared.calls).log()
    }
}

/// A call on its way: counted, and its fate known.
struct Arrival {
    operation: Operation,
    delay: Duration,
    fault: Option<FakeError>,
}

/// What the log tells about a call.
#[derive(Default)]
struct Seen {
    resource: Option<String>,
    context: BTreeMap<String, String>,
}

impl FakeKms {
    fn arrive(&self, operation: Operation) -> Arrival {
        lock(&self.shared.calls).count(operation);
        let mut faults = lock(&self.shared.faults);
        Arrival { operation, delay: faults.latency(operation), fault: faults.next(operation) }
    }

    /// Does the work of a call whose delay is over, and logs it.
    fn complete<T>(&self, arrival: Arrival, work: impl FnOnce(&mut Seen) -> Answer<T>) -> Answer<T> {
        let mut seen = Seen::default();
        let answer = match arrival.fault {
            Some(fault) => Err(fault),
            None => work(&mut seen),
        };
        lock(&self.shared.calls).record(CallRecord {
            role: self.role.name.clone(),
            operation: arrival.operation,
            resource: seen.resource,
            context: seen.context,
            error: answer.as_ref().err().map(FakeError::code),
        });
        answer
    }

    /// No lock is held while predicates run: they may use the fake.
    fn check_access(
        &self,
        operation: Operation,
        action: &'static str,
        resource: &str,
        context: &BTreeMap<String, String>,
    ) -> Answer<()> {
        let rules = self.rules().clone();
        rules.check(&AccessRequest { role: &self.role.name, operation, action, resource, context })
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.shared.registry)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.role.rules)
    }
}

impl Role {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), rules: Mutex::default() })
    }
}

impl fmt::Debug for FakeKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeKms({:?}, role {})", *self.registry(), self.role.name)
    }
}

/// What is behind the locks is whole after every statement: a panic in a test does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

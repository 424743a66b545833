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
mod control;
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
mod service;
mod sleep;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use access::AccessRequest;
pub use calls::CallRecord;
pub use error::{ErrorCode, FakeError};
pub use faults::{Fault, FaultPlan};
pub use keyring::FakeKmsKeyring;
pub use keys::{KeyOptions, KeyState};
pub use operation::Operation;
pub use policy::PolicyError;
pub use server::FakeKmsServer;
pub use service::FakeKms;

/// A result whose error is [`FakeError`].
pub type Result<T, E = FakeError> = std::result::Result<T, E>;

/// What is behind the locks is whole after every statement: a panic in a test does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

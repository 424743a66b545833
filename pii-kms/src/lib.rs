//! AWS KMS keyring of pii, and application keys from AWS Secrets Manager.
//!
//! [`KmsKeyring`] wraps data keys under keys of AWS KMS. `SecretsManagerAppKeys` reads the application
//! keys of level 3 from a secret.
//!
//! # Features
//!
//! | feature | |
//! |---|---|
//! | `from-env` | region and credentials as the AWS command line finds them, by `aws-config` |
//! | `secrets-manager` | application keys from Secrets Manager |
//! | `key-service` | `KmsKeyService`: calls of KMS for the formats of other systems |
//! | `testing` | `testing::FakeKms`, a KMS of our own that is stricter than the real one |
//!
//! The AWS crates are used without their default features: this crate chooses no TLS stack and no async
//! runtime. A program that depends on `aws-config` with its default features has chosen both.
#![forbid(unsafe_code)]

mod error;
mod key_reference;
#[cfg(feature = "key-service")]
mod key_service;
mod keyring;
mod sdk;
#[cfg(feature = "secrets-manager")]
mod secrets;
#[cfg(feature = "testing")]
pub mod testing;

#[cfg(feature = "key-service")]
pub use key_service::KmsKeyService;
pub use keyring::{KmsKeyring, KmsKeyringBuilder};
#[cfg(feature = "secrets-manager")]
pub use secrets::SecretsManagerAppKeys;

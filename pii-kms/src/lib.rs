//! AWS KMS keyring of pii.
//!
//! # Features
//! `testing` brings `testing::FakeKms`, a KMS of our own that is stricter than the real one.
#![forbid(unsafe_code)]

#[cfg(feature = "testing")]
pub mod testing;

//! The fake KMS, driven by the real SDK.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failing unwrap is a failing test")]

mod access;
mod blobs;
mod faults;
mod http;
mod keyring;
mod keys;
mod operations;
mod policies;
mod secrets;
mod support;

//! Messages of the AWS Encryption SDK and values of Powertools: those of the vectors, those that are
//! written, and those that must be refused.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

mod cache;
mod context;
mod damage;
mod keys;
mod random;
mod reference;
mod service;
mod structure;
mod vectors;
mod writing;

//! Masking of documents: rules and reports, models, what Powertools answers, and hostile input.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

#[path = "masking/hostile.rs"]
mod hostile;
#[path = "masking/models.rs"]
mod models;
#[path = "masking/powertools.rs"]
mod powertools;
#[path = "masking/rules.rs"]
mod rules;

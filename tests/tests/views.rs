//! Models as they are shown: in clear, masked, and as a schema.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

#[path = "views/masked.rs"]
mod masked;
#[path = "views/models.rs"]
mod models;
#[path = "views/revealed.rs"]
mod revealed;
#[path = "views/schema.rs"]
mod schema;

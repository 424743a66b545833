//! The suite on DynamoDB Local.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

#[path = "dynamo/crud.rs"]
mod crud;
#[path = "dynamo/errors.rs"]
mod errors;
#[path = "dynamo/fluent.rs"]
mod fluent;
#[path = "dynamo/guard.rs"]
mod guard;
#[path = "dynamo/index_jobs.rs"]
mod index_jobs;
#[path = "dynamo/indexes.rs"]
mod indexes;
#[path = "dynamo/items.rs"]
mod items;
#[path = "dynamo/left.rs"]
mod left;
#[path = "dynamo/legacy.rs"]
mod legacy;
#[path = "dynamo/many.rs"]
mod many;
#[path = "dynamo/masked.rs"]
mod masked;
#[path = "dynamo/models.rs"]
mod models;
#[path = "dynamo/support.rs"]
mod support;
#[path = "dynamo/swaps.rs"]
mod swaps;
#[path = "dynamo/transactions.rs"]
mod transactions;

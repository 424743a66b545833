//! Values that pydynox wrote, fields that hold them, and policies that switch at run time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod database;
mod dynamo;
#[path = "../dynamo/support.rs"]
#[allow(dead_code, reason = "the suite on DynamoDB uses the rest")]
mod dynamo_support;
mod fields;
mod policies;
mod support;
mod switching;
mod vectors;

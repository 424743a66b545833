//! Values that pydynox wrote, fields that hold them, and policies that switch at run time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod database;
mod fields;
mod policies;
mod support;
mod switching;
mod vectors;

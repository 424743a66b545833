//! One suite on SQLite, Postgres and MariaDB: the files under `sql/suite` are compiled once for each, and find
//! what differs in `sql/sqlite.rs`, `sql/postgres.rs` and `sql/mysql.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]
#![allow(clippy::duplicate_mod, reason = "the suite is compiled once for each database")]

#[path = "sql/models.rs"]
mod models;
#[path = "sql/mysql.rs"]
mod mysql;
#[path = "sql/postgres.rs"]
mod postgres;
#[path = "sql/sqlite.rs"]
mod sqlite;
#[path = "sql/support.rs"]
mod support;

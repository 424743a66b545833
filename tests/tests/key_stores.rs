//! One suite on every key store: files, SQLite, Postgres, MariaDB and DynamoDB. What differs is in `key_stores/stores.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

#[path = "key_stores/aws_files.rs"]
mod aws_files;
#[path = "key_stores/connections.rs"]
mod connections;
#[path = "key_stores/dynamo.rs"]
mod dynamo;
#[path = "key_stores/dynamo_table.rs"]
mod dynamo_table;
#[path = "key_stores/elections.rs"]
mod elections;
#[path = "key_stores/mysql.rs"]
mod mysql;
#[path = "key_stores/mysql_table.rs"]
mod mysql_table;
#[path = "key_stores/processes.rs"]
mod processes;
#[path = "key_stores/records.rs"]
mod records;
#[path = "key_stores/stores.rs"]
mod stores;
#[path = "key_stores/support.rs"]
mod support;
#[path = "key_stores/tampering.rs"]
mod tampering;

/// Runs each of these functions on every store, as a test of its own.
macro_rules! on_every_store {
    ($($(#[$attribute:meta])* $test:ident),* $(,)?) => {
        mod files {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test::<$crate::stores::Files>().await; })*
        }
        mod sqlite {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test::<$crate::stores::SqliteTable>().await; })*
        }
        mod postgres {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test::<$crate::stores::PostgresTable>().await; })*
        }
        mod mysql {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test::<$crate::stores::MysqlTable>().await; })*
        }
        mod dynamodb {
            $($(#[$attribute])* #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() { super::$test::<$crate::stores::DynamoTable>().await; })*
        }
    };
}
pub(crate) use on_every_store;

//! What holds for every database. `super` is the database.

mod adoption;
mod any;
mod bulk;
mod collections;
mod connections;
mod crud;
mod definitions;
mod doctor;
mod errors;
mod filters;
mod ids;
mod index_findings;
mod index_jobs;
mod indexes;
mod joins;
mod legacy;
mod limits;
mod many;
mod masked;
mod masked_streams;
mod modes;
mod moves;
mod nested;
mod nested_tables;
mod pieces;
mod places;
mod queries;
mod scoped_jobs;
mod scopes;
mod shadows;
mod sources;
mod streams;
mod subjects;
mod swaps;
mod tampering;

use pii::{Cryptor, SqlTable};

use super::{Db, TestDatabase, in_dialect};
use crate::models::{CUSTOMERS, Customer};

/// A database with the table `customers`.
async fn database() -> TestDatabase {
    TestDatabase::new(4, &[CUSTOMERS]).await
}

fn customers(db: &TestDatabase, cryptor: &Cryptor) -> SqlTable<Customer, Db> {
    SqlTable::new(&db.pool, cryptor)
}

/// The columns `email` and `ssn` as they are stored.
async fn stored(db: &TestDatabase, id: i64) -> (String, Option<String>) {
    sqlx::query_as(in_dialect("select email, ssn from customers where id = $1"))
        .bind(id)
        .fetch_one(&db.pool)
        .await
        .unwrap()
}

async fn count(db: &TestDatabase) -> i64 {
    sqlx::query_scalar("select count(*) from customers").fetch_one(&db.pool).await.unwrap()
}

/// Runs SQL that a test needs, as someone without this library would.
async fn sql(db: &TestDatabase, statement: &'static str) {
    sqlx::raw_sql(statement).execute(&db.pool).await.unwrap();
}

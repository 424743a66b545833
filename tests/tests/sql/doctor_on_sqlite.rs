//! What a doctor finds in SQLite alone.

use pii::{Ddl, Doctor, DoctorReport, ErrorKind, FindingKind as Kind, Severity};
use sqlx::AssertSqlSafe;

use super::{Db, TestDatabase};
use crate::models::{Account, Customer};

async fn with(columns: &str) -> TestDatabase {
    let db = TestDatabase::new(2, &[]).await;
    run(&db, &format!("create table customers (id integer primary key, tenant text not null, city text not null, {columns}"))
        .await;
    db
}

async fn run(db: &TestDatabase, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&db.pool).await.unwrap();
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Customer>().examine().await.unwrap()
}

fn of(report: &DoctorReport, kind: Kind) -> Vec<(&str, Severity)> {
    report.of_kind(kind).map(|finding| (finding.column.as_deref().unwrap_or(""), finding.severity)).collect()
}

#[tokio::test]
async fn a_column_of_another_type_takes_text_unless_the_table_is_strict() {
    let lenient = with("email integer not null, ssn varchar(3))").await;
    let report = examine(&lenient).await;
    assert_eq!(of(&report, Kind::WrongType), [("email", Severity::Warning)], "{report}");
    assert_eq!(of(&report, Kind::TooShort), [], "SQLite cuts nothing");
    let strict = with("email integer not null, ssn text) strict").await;
    let report = examine(&strict).await;
    assert_eq!(of(&report, Kind::WrongType), [("email", Severity::Error)], "{report}");
    let error = Ddl::<Db>::of::<Customer>().unwrap().alter(&strict.pool).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`email`"), "{error}");
}

#[tokio::test]
async fn checks_in_upper_or_lower_case_are_read_from_the_definition() {
    let db = with("email text not null Check(email LIKE 'ENC:%'), ssn text, constraint x check (ssn is null or substr(ssn, 1, 4) = 'ENC:'))").await;
    let report = examine(&db).await;
    assert!(report.findings.is_empty(), "{report}");
    let without = with("email text not null /* check (email like 'ENC:%') */, ssn text)").await;
    assert_eq!(of(&examine(&without).await, Kind::CheckMissing).len(), 2);
}

#[tokio::test]
async fn a_generated_column_and_a_view_of_everything_are_found() {
    let db = with("email text not null, ssn text, domain text as (substr(email, 5)) virtual)").await;
    run(&db, "create view everyone as select * from customers").await;
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::GeneratedColumn), [("email", Severity::Error)], "{report}");
    assert_eq!(
        of(&report, Kind::View),
        [("email", Severity::Warning), ("ssn", Severity::Warning)],
        "{report}"
    );
}

#[tokio::test]
async fn an_index_with_a_loose_collation_is_found() {
    let db = TestDatabase::new(1, &[]).await;
    run(&db, "create table accounts (name text primary key, owner text not null, owner_bidx text)").await;
    run(&db, "create index by_owner on accounts (owner_bidx collate nocase)").await;
    let report = Doctor::new(&db.pool).model::<Account>().examine().await.unwrap();
    assert_eq!(of(&report, Kind::LooseCollation), [("owner_bidx", Severity::Error)], "{report}");
}

#[tokio::test]
async fn a_database_that_is_attached_is_examined_by_its_name() {
    let db = TestDatabase::new(1, &[]).await;
    let other = db.folder.path().join("other.db");
    run(&db, &format!("attach '{}' as crm", other.display())).await;
    let ddl = Ddl::<Db>::of::<Customer>().unwrap().in_table("crm.customers").index_column("email_bidx");
    for statement in ddl.create().unwrap() {
        run(&db, &statement.sql).await;
    }
    let there = || Doctor::new(&db.pool).model_in::<Customer>("crm.customers").examine();
    assert!(there().await.unwrap().findings.is_empty());
    assert_eq!(examine(&db).await.of_kind(Kind::TableMissing).count(), 1);
    run(&db, "drop table crm.customers; create table crm.customers (id integer primary key, tenant text not null, city text not null, email text not null, ssn text)").await;
    for statement in ddl.alter(&db.pool).await.unwrap() {
        run(&db, &statement.sql).await;
    }
    let report = there().await.unwrap();
    assert!(report.findings.is_empty(), "{report}");
    let plain = "insert into crm.customers values (1, 'acme', 'London', 'ada@example.com', null, null)";
    assert!(sqlx::query(plain).execute(&db.pool).await.is_err());
}

#[tokio::test]
async fn indexes_of_expressions_and_of_some_rows_are_told_apart() {
    let db = TestDatabase::new(2, &[]).await;
    run(&db, "create table customers (id bigint, tenant text not null, city text not null, email text not null, ssn text)").await;
    run(&db, "create unique index a_few on customers (id) where email is not null").await;
    run(&db, "create index lowered on customers (lower(ssn))").await;
    let report = examine(&db).await;
    assert_eq!(report.of_kind(Kind::IdNotUnique).count(), 1, "{report}");
    assert_eq!(of(&report, Kind::UniqueIndex), [("email", Severity::Error)], "{report}");
    assert_eq!(of(&report, Kind::Index), [("ssn", Severity::Warning)], "{report}");
}

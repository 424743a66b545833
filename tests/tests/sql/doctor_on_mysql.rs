//! What a doctor finds in MariaDB and MySQL alone, and texts that they would cut.

use pii::{
    ColumnLimits, Ddl, DdlKind, Doctor, DoctorReport, ErrorKind, FindingKind as Kind, Severity, SqlTable,
};
use sqlx::AssertSqlSafe;

use super::{Db, TestDatabase};
use crate::{
    models::{Account, Customer},
    support::process,
};

async fn with(columns: &str) -> TestDatabase {
    let db = TestDatabase::new(3, &[]).await;
    run(&db, &format!("create table customers (id bigint primary key, tenant varchar(100) not null, city varchar(100) not null, {columns})"))
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

/// Without its strict mode the server cuts the value and says nothing.
#[tokio::test]
async fn a_value_that_the_server_would_cut_is_refused_by_its_limits() {
    let db = with("email varchar(90) not null, ssn text").await;
    let options = db.pool.connect_options().as_ref().clone();
    let lax = sqlx::mysql::MySqlPoolOptions::new()
        .max_connections(1)
        .after_connect(|connection, _| {
            Box::pin(async move {
                sqlx::raw_sql("set sql_mode = ''").execute(connection).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
        .unwrap();
    let cryptor = process(&db.folder);
    let table = SqlTable::<Customer, Db>::new(&lax, &cryptor);
    table.insert(&Customer::new(1)).await.unwrap();
    let cut: String = sqlx::query_scalar("select email from customers").fetch_one(&db.pool).await.unwrap();
    assert_eq!(cut.len(), 90, "this is what limits are for");
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::DamagedValues), [("email", Severity::Error)], "{report}");
    assert_eq!(of(&report, Kind::TooShort)[0], ("email", Severity::Warning), "{report}");

    let limits = ColumnLimits::of::<Customer, _>(&lax).await.unwrap();
    let error = table.within(&limits).insert(&Customer::new(2)).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("email")), "{error}");
    let count: i64 = sqlx::query_scalar("select count(*) from customers").fetch_one(&db.pool).await.unwrap();
    assert_eq!(count, 1);
    lax.close().await;
}

#[tokio::test]
async fn types_are_found_and_altered() {
    let db = with("email varchar(50) not null, ssn char(11) not null").await;
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::TooShort)[0], ("email", Severity::Error), "{report}");
    assert_eq!(of(&report, Kind::FixedLength), [("ssn", Severity::Error)], "{report}");
    assert_eq!(of(&report, Kind::NotNullable), [("ssn", Severity::Error)], "{report}");
    let ddl = Ddl::<Db>::of::<Customer>().unwrap();
    let alter = ddl.alter(&db.pool).await.unwrap();
    assert_eq!(alter.iter().filter(|statement| statement.kind == DdlKind::ChangeType).count(), 2, "{alter}");
    for statement in &alter {
        run(&db, &statement.sql).await;
    }
    let report = examine(&db).await;
    assert!(report.findings.is_empty(), "{report}");
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn other_types_hold_no_text() {
    let db = with("email blob not null, ssn int").await;
    let report = examine(&db).await;
    assert_eq!(
        of(&report, Kind::WrongType),
        [("email", Severity::Error), ("ssn", Severity::Error)],
        "{report}"
    );
    let fit = with("email mediumtext not null, ssn longtext").await;
    assert_eq!(of(&examine(&fit).await, Kind::WrongType), []);
}

#[tokio::test]
async fn a_text_of_64_kilobytes_is_worth_a_note() {
    let db = with("email text not null, ssn mediumtext").await;
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::TooShort), [("email", Severity::Note)], "{report}");
    let told =
        Doctor::new(&db.pool).model::<Customer>().longest("customer.email", 60_000).examine().await.unwrap();
    assert_eq!(of(&told, Kind::TooShort), [("email", Severity::Error)], "{told}");
}

#[tokio::test]
async fn the_usual_collation_is_loose_and_a_binary_one_is_not() {
    let db = TestDatabase::new(1, &[]).await;
    run(&db, "create table accounts (name varchar(40) primary key, owner mediumtext not null)").await;
    let examine = || Doctor::new(&db.pool).model::<Account>().examine();
    assert_eq!(of(&examine().await.unwrap(), Kind::LooseCollation), [("name", Severity::Warning)]);
    run(&db, "alter table accounts modify name varchar(40) character set utf8mb4 collate utf8mb4_bin").await;
    assert_eq!(of(&examine().await.unwrap(), Kind::LooseCollation), []);
}

#[tokio::test]
async fn generated_columns_and_views_are_found() {
    let db =
        with("email varchar(200) not null, ssn text, domain varchar(200) as (substr(email, 5)) stored").await;
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
async fn a_key_of_the_beginning_of_a_column_makes_no_id_unique() {
    let db = TestDatabase::new(1, &[]).await;
    run(&db, "create table accounts (name varchar(40) character set ascii collate ascii_bin not null, owner text not null, \
              unique key (name(10)), key (owner(20)))").await;
    let report = Doctor::new(&db.pool).model::<Account>().examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::IdNotUnique).count(), 1, "{report}");
    assert_eq!(of(&report, Kind::Index), [("owner", Severity::Warning)], "{report}");
}

#[tokio::test]
async fn a_table_in_another_database_is_examined_by_its_whole_name() {
    let db = with("email mediumtext not null, ssn mediumtext").await;
    let other = TestDatabase::new(1, &[]).await;
    let name = db.qualified("customers");
    let there = Doctor::new(&other.pool).model_in::<Customer>(&name).examine().await.unwrap();
    assert_eq!(there.of_kind(Kind::TableMissing).count(), 0, "{there}");
    for statement in Ddl::<Db>::of::<Customer>().unwrap().in_table(&name).checks().unwrap() {
        run(&other, &statement.sql).await;
    }
    let plain = "insert into customers values (1, 'acme', 'London', 'ada@example.com', null)";
    assert!(sqlx::query(plain).execute(&db.pool).await.is_err());
    assert!(examine(&db).await.findings.is_empty());
}

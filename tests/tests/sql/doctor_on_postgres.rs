//! What a doctor finds in Postgres alone, and what definitions do there.

use pii::{
    Ddl, DdlKind, DdlTransaction, Doctor, DoctorReport, EncryptedStr, FindingKind as Kind, Severity, SqlTable,
};
use sqlx::AssertSqlSafe;

use super::{Db, TestDatabase};
use crate::{
    models::{Account, Customer},
    support::process,
};

async fn with(columns: &str) -> TestDatabase {
    let db = TestDatabase::new(4, &[]).await;
    run(&db, &format!("create table customers (id bigint primary key, tenant text not null, city text not null, {columns})"))
        .await;
    db
}

async fn run(db: &TestDatabase, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&db.pool).await.unwrap();
}

async fn run_all(db: &TestDatabase, statements: &pii::DdlStatements) {
    for statement in statements {
        // each alone: what is to run outside of a transaction does
        run(db, &statement.sql).await;
    }
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Customer>().examine().await.unwrap()
}

fn of(report: &DoctorReport, kind: Kind) -> Vec<(&str, Severity)> {
    report.of_kind(kind).map(|finding| (finding.column.as_deref().unwrap_or(""), finding.severity)).collect()
}

#[tokio::test]
async fn columns_that_are_too_short_or_padded_are_found() {
    let db = with("email varchar(50) not null, ssn char(96)").await;
    let report = examine(&db).await;
    assert_eq!(
        of(&report, Kind::TooShort),
        [("email", Severity::Error), ("ssn", Severity::Warning)],
        "{report}"
    );
    assert_eq!(of(&report, Kind::FixedLength), [("ssn", Severity::Error)], "{report}");
    let roomy = with("email varchar(420) not null, ssn text").await;
    assert_eq!(of(&examine(&roomy).await, Kind::TooShort), [("email", Severity::Warning)]);
    let told = |bytes| {
        let doctor = Doctor::new(&roomy.pool).model::<Customer>().longest("customer.email", bytes);
        async { doctor.examine().await.unwrap() }
    };
    assert_eq!(of(&told(254).await, Kind::TooShort), []);
    assert_eq!(of(&told(255).await, Kind::TooShort), [("email", Severity::Error)]);
    // values that carry their data key are longer
    let cryptor = crate::support::cryptor();
    let doctor =
        Doctor::new(&roomy.pool).model::<Customer>().longest("customer.email", 254).cryptor(&cryptor);
    assert_eq!(of(&doctor.examine().await.unwrap(), Kind::TooShort), [("email", Severity::Error)]);
}

#[tokio::test]
async fn the_longest_plaintext_that_is_there_is_compared_with_the_column() {
    let db = with("email varchar(100) not null, ssn text").await;
    run(&db, "insert into customers values (1, 'acme', 'London', 'a@example.com', null)").await;
    assert_eq!(of(&examine(&db).await, Kind::TooShort), [("email", Severity::Warning)]);
    run(&db, "insert into customers values (2, 'acme', 'London', 'ädä.canary@example.com', null)").await;
    let report = examine(&db).await;
    let found = report.of_kind(Kind::TooShort).find(|finding| finding.severity == Severity::Error).unwrap();
    assert!(found.message.contains("24 bytes") && found.message.contains("116 characters"), "{found}");
}

#[tokio::test]
async fn the_length_that_the_doctor_tells_is_that_of_real_values() {
    let db = with("email text not null, ssn text").await;
    let cryptor = process(&db.folder);
    let field = <Customer as pii::PiiModel>::MODEL.field("email").unwrap();
    for bytes in 0..80 {
        let mut customer = Customer::new(i64::try_from(bytes).unwrap());
        customer.email.set("x".repeat(bytes));
        SqlTable::<Customer, Db>::new(&db.pool, &cryptor).insert(&customer).await.unwrap();
        let length: i32 = sqlx::query_scalar("select length(email) from customers where id = $1")
            .bind(customer.id)
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(usize::try_from(length).unwrap(), cryptor.sealed_chars(field, bytes));
        assert_eq!(cryptor.sealed_chars(field, bytes), field.sealed_chars(bytes));
    }
}

#[tokio::test]
async fn types_that_hold_no_text_are_found_and_altered() {
    let db = with("email jsonb not null, ssn char(11) not null").await;
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::WrongType), [("email", Severity::Error)], "{report}");
    assert_eq!(of(&report, Kind::NotNullable), [("ssn", Severity::Error)], "{report}");
    let ddl = Ddl::<Db>::of::<Customer>().unwrap();
    let alter = ddl.alter(&db.pool).await.unwrap();
    let kinds: Vec<_> = alter.iter().map(|statement| statement.kind).collect();
    assert_eq!(
        kinds,
        [
            DdlKind::ChangeType,
            DdlKind::ChangeType,
            DdlKind::DropNotNull,
            DdlKind::AddCheck,
            DdlKind::ValidateCheck,
            DdlKind::AddCheck,
            DdlKind::ValidateCheck
        ],
        "{alter}"
    );
    run_all(&db, &alter).await;
    let report = examine(&db).await;
    assert!(report.findings.is_empty(), "{report}");
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_varchar_becomes_text_without_a_rewrite() {
    let db = with("email varchar(50) not null, ssn text").await;
    run(&db, "insert into customers values (1, 'acme', 'London', 'a@example.com', null)").await;
    let file = async || -> String {
        sqlx::query_scalar("select pg_relation_filepath('customers')").fetch_one(&db.pool).await.unwrap()
    };
    let before = file().await;
    let alter = Ddl::<Db>::of::<Customer>().unwrap().alter(&db.pool).await.unwrap();
    let change = alter.iter().find(|statement| statement.kind == DdlKind::ChangeType).unwrap();
    assert!(change.note.contains("stay as they are"), "{change}");
    run(&db, &change.sql).await;
    assert_eq!(file().await, before);
}

#[tokio::test]
async fn a_check_holds_for_new_rows_first_and_is_validated_when_all_are_sealed() {
    let db = with("email text not null, ssn text").await;
    run(&db, "insert into customers values (1, 'acme', 'London', 'a@example.com', null)").await;
    let ddl = Ddl::<Db>::of::<Customer>().unwrap();
    let checks = ddl.checks().unwrap();
    assert!(checks.iter().all(|statement| statement.transaction == DdlTransaction::Own));
    let (add, validate): (Vec<_>, Vec<_>) =
        checks.iter().partition(|statement| statement.kind == DdlKind::AddCheck);
    assert!(add[0].sql.ends_with("NOT VALID"), "{}", add[0]);
    run(&db, &add[0].sql).await;
    let plain = "insert into customers values (2, 'acme', 'London', 'b@example.com', null)";
    assert!(sqlx::query(plain).execute(&db.pool).await.is_err());
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::CheckNotValidated), [("email", Severity::Warning)], "{report}");
    assert!(sqlx::raw_sql(AssertSqlSafe(validate[0].sql.clone())).execute(&db.pool).await.is_err());
    run(&db, "delete from customers").await;
    let left = ddl.alter(&db.pool).await.unwrap();
    assert_eq!(left.iter().next().map(|statement| &statement.sql), Some(&validate[0].sql));
    run(&db, &validate[0].sql).await;
    assert_eq!(of(&examine(&db).await, Kind::CheckNotValidated), []);
    assert_eq!(of(&examine(&db).await, Kind::CheckMissing), [("ssn", Severity::Note)]);
}

/// While a check is validated, others write.
#[tokio::test]
async fn validating_hinders_nobody() {
    let db = with("email text not null, ssn text").await;
    let checks = Ddl::<Db>::of::<Customer>().unwrap().checks().unwrap();
    let (add, validate): (Vec<_>, Vec<_>) =
        checks.iter().partition(|statement| statement.kind == DdlKind::AddCheck);
    run(&db, &add[0].sql).await;
    let mut tx = db.pool.begin().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(validate[0].sql.clone())).execute(&mut *tx).await.unwrap();
    // its transaction is still open
    run(&db, "set lock_timeout = '3s'; insert into customers values (1, 'acme', 'London', 'ENC:', null)")
        .await;
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_index_is_built_concurrently_and_one_that_failed_is_found() {
    let db = with("email text not null, ssn text, email_bidx text").await;
    run(
        &db,
        "insert into customers values (1, 'a', 'x', 'ENC:', null, 'ab'), (2, 'a', 'x', 'ENC:', null, 'ab')",
    )
    .await;
    let indexes = Ddl::<Db>::of::<Customer>().unwrap().unique_index_column("email_bidx").indexes().unwrap();
    let create = indexes.iter().next().unwrap();
    assert_eq!(create.transaction, DdlTransaction::Outside);
    let mut tx = db.pool.begin().await.unwrap();
    assert!(
        sqlx::raw_sql(AssertSqlSafe(create.sql.clone())).execute(&mut *tx).await.is_err(),
        "in a transaction"
    );
    drop(tx);
    assert!(sqlx::raw_sql(AssertSqlSafe(create.sql.clone())).execute(&db.pool).await.is_err(), "not unique");
    let report = examine(&db).await;
    assert_eq!(report.of_kind(Kind::InvalidIndex).count(), 1, "{report}");
    assert_eq!(of(&report, Kind::IndexMissing), [("email_bidx", Severity::Warning)]);
    run(&db, "drop index customers_email_bidx_idx; delete from customers").await;
    run(&db, &create.sql).await;
    let report = examine(&db).await;
    assert_eq!(
        report.of_kind(Kind::InvalidIndex).count() + report.of_kind(Kind::IndexMissing).count(),
        0,
        "{report}"
    );
}

#[tokio::test]
async fn publications_policies_and_generated_columns_are_found() {
    let db = with(
        "email text not null, ssn text, domain text generated always as (split_part(email, '@', 2)) stored",
    )
    .await;
    run(&db, "create policy own on customers using (ssn = current_user and city <> '')").await;
    let publication = db.qualified("customers").replace('.', "_");
    run(&db, &format!("create publication {publication} for table customers (id, email)")).await;
    let report = examine(&db).await;
    run(&db, &format!("drop publication {publication}")).await;
    assert_eq!(of(&report, Kind::Publication), [("email", Severity::Warning)], "{report}");
    assert_eq!(of(&report, Kind::Policy), [("ssn", Severity::Warning)], "{report}");
    assert_eq!(of(&report, Kind::GeneratedColumn), [("email", Severity::Error)], "{report}");
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::Publication), []);
}

#[tokio::test]
async fn a_materialized_view_and_a_trigger_of_one_column_are_found() {
    let db = with("email text not null, ssn text").await;
    run(&db, "create materialized view mails as select email from customers").await;
    run(
        &db,
        "create function nothing() returns trigger language plpgsql as $$ begin return new; end $$; \
         create trigger on_ssn before update of ssn on customers for each row execute function nothing()",
    )
    .await;
    let report = examine(&db).await;
    assert_eq!(of(&report, Kind::View), [("email", Severity::Warning)], "{report}");
    assert_eq!(of(&report, Kind::Trigger), [("ssn", Severity::Warning)], "{report}");
}

#[tokio::test]
async fn a_table_in_another_schema_is_examined_by_its_whole_name() {
    let db = with("email varchar(50) not null, ssn text").await;
    let name = db.qualified("customers");
    let report = Doctor::new(&db.pool).model_in::<Customer>(&name).examine().await.unwrap();
    assert_eq!(report.tables[0].table, name);
    assert_eq!(of(&report, Kind::TooShort), [("email", Severity::Error)], "{report}");
    let report = Doctor::new(&db.pool).model_in::<Customer>("nowhere.customers").examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::TableMissing).count(), 1);
}

#[tokio::test]
async fn a_role_that_may_only_read_is_enough_and_one_that_may_not_is_an_error() {
    let db = with("email text not null, ssn text").await;
    let role = db.qualified("x").replace('.', "_");
    run(
        &db,
        &format!(
            "create role {role}; grant usage on schema {} to {role}",
            db.qualified("x").trim_end_matches(".x")
        ),
    )
    .await;
    let pool = sqlx::postgres::PgPoolOptions::new().max_connections(1);
    let pool = pool.connect_with(db.pool.connect_options().as_ref().clone()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("set role {role}"))).execute(&pool).await.unwrap();
    let error = Doctor::new(&pool).model::<Customer>().examine().await.unwrap_err();
    run(&db, &format!("grant select on customers to {role}")).await;
    let report = Doctor::new(&pool).model::<Customer>().examine().await;
    pool.close().await;
    run(&db, &format!("drop owned by {role}; drop role {role}")).await;
    assert_eq!((error.kind(), error.model_name()), (pii::ErrorKind::Database, Some("customer")), "{error}");
    assert!(report.unwrap().is_sound());
}

#[tokio::test]
async fn a_case_insensitive_type_is_found() {
    let db = TestDatabase::new(1, &[]).await;
    if sqlx::raw_sql("create extension if not exists citext").execute(&db.pool).await.is_err() {
        panic!("Postgres is installed without its extension citext");
    }
    run(&db, "create table accounts (name citext primary key, owner text not null)").await;
    let report = Doctor::new(&db.pool).model::<Account>().examine().await.unwrap();
    assert_eq!(of(&report, Kind::LooseCollation), [("name", Severity::Warning)], "{report}");
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

mod guide {
    use pii::{EncryptedStr, PiiModel};

    #[derive(PiiModel)]
    #[pii(name = "customer", table = "customers", context(app = "shop"))]
    pub(super) struct Customer {
        #[pii(id)]
        pub(super) id: i64,
        pub(super) city: String,
        pub(super) email: EncryptedStr,
        pub(super) phone: Option<EncryptedStr>,
        pub(super) ssn: Option<EncryptedStr>,
    }
}

/// The page shows what the doctor says, word by word.
#[tokio::test]
async fn the_page_on_the_doctor_shows_real_output() {
    let db = TestDatabase::new(2, &[]).await;
    run(
        &db,
        "create table customers (id bigint primary key, city text not null, email varchar(100) not null unique, \
         phone char(16), ssn text, ssn_plain text, email_bidx text); \
         create view mailing as select id, email from customers",
    )
    .await;
    let cryptor = process(&db.folder);
    let rows: Vec<_> = (0..900)
        .map(|id| guide::Customer {
            id,
            city: "London".into(),
            email: EncryptedStr::new(format!("{id}@mail.com")),
            phone: None,
            ssn: Some(EncryptedStr::new("900-12-3456")),
        })
        .collect();
    SqlTable::<guide::Customer, Db>::new(&db.pool, &cryptor).insert_many(&rows).await.unwrap();
    run(
        &db,
        "update customers set email = 'customer-' || id || '.long-name@mail.example' where id > 850; \
         update customers set ssn_plain = '900-12-3456', ssn = null where id < 12",
    )
    .await;
    let report = Doctor::new(&db.pool).model::<guide::Customer>().examine().await.unwrap();
    let page = include_str!("../../../docs/doctor.md");
    assert!(page.contains(&report.to_string()), "{report}");
    let json = serde_json::to_string_pretty(&report.findings[0]).unwrap();
    assert!(page.contains(&json), "{json}");
    let ddl = Ddl::<Db>::of::<guide::Customer>().unwrap();
    for statement in ddl.checks().unwrap().iter().take(2) {
        assert!(page.contains(&statement.to_string()), "{statement}");
    }
}

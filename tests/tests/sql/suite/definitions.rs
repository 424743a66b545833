//! Definitions of tables: what is created is sound, and what is altered becomes so.

use pii::{
    Ddl, DdlKind, DdlStatements, Doctor, DoctorReport, EncryptedStr, FindingKind as Kind, PiiModel, SqlTable,
};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::{
    super::{Db, UUID},
    TestDatabase, customers, sql, stored,
};
use crate::{
    models::{
        AcceptingCustomer, Account, Customer, Document, LimitedCustomer, Member, Note, Person, Session,
        Voucher,
    },
    support::process,
};

pub(super) async fn run(db: &TestDatabase, statements: &DdlStatements) {
    for statement in statements {
        let done = sqlx::raw_sql(AssertSqlSafe(statement.sql.clone())).execute(&db.pool).await;
        done.unwrap_or_else(|error| panic!("{error}: {statement}"));
    }
}

async fn empty() -> TestDatabase {
    TestDatabase::new(3, &[]).await
}

fn of_customers() -> Ddl<Db> {
    Ddl::<Db>::of::<Customer>().unwrap()
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Customer>().examine().await.unwrap()
}

#[tokio::test]
async fn what_is_created_is_sound() {
    let db = empty().await;
    macro_rules! created {
        ($($model:ty),*) => {$(
            let ddl = Ddl::<Db>::of::<$model>().unwrap();
            let create = ddl.create().unwrap();
            run(&db, &create).await;
            let report = Doctor::new(&db.pool).model::<$model>().examine().await.unwrap();
            assert!(report.findings.is_empty(), "{create}\n{report}");
            let left = ddl.alter(&db.pool).await.unwrap();
            assert!(left.is_empty(), "{left}");
        )*};
    }
    created!(Customer, Document, Note, Member, Session, Voucher, Account, Person);
    let cryptor = process(&db.folder);
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    SqlTable::<Person, Db>::new(&db.pool, &cryptor).insert(&Person::new(1)).await.unwrap();
    let notes = SqlTable::<Note, Db>::new(&db.pool, &cryptor);
    let id = notes.insert(&Note::new(None)).returning_id().await.unwrap();
    assert_eq!(notes.insert(&Note::new(None)).returning_id().await.unwrap(), id + 1);
}

#[derive(PiiModel)]
#[pii(name = "visit", table = "visits", from_row)]
struct Visit {
    #[pii(id)]
    id: Uuid,
    place: Uuid,
    before: Option<Uuid>,
    notes: sqlx::types::Json<Vec<String>>,
    purpose: EncryptedStr,
}

#[tokio::test]
async fn uuids_and_json_have_columns_of_their_types() {
    let db = empty().await;
    let ddl = Ddl::<Db>::of::<Visit>().unwrap();
    let create = ddl.create().unwrap();
    assert_eq!(create.to_string().to_lowercase().matches(UUID).count(), 3, "{create}");
    run(&db, &create).await;
    let report = Doctor::new(&db.pool).model::<Visit>().examine().await.unwrap();
    assert!(report.findings.is_empty(), "{report}");
    let cryptor = process(&db.folder);
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &cryptor);
    let (id, place) = (Uuid::from_u128(7), Uuid::max());
    let notes = sqlx::types::Json(vec!["a long note, longer than a UUID".to_owned()]);
    let visit = Visit { id, place, before: Some(id), notes, purpose: EncryptedStr::new("tea") };
    visits.insert(&visit).await.unwrap();
    let read = visits.get(id).decrypt_pii().await.unwrap();
    assert_eq!((read.place, read.before, &read.notes), (place, Some(id), &visit.notes));
    assert_eq!(read.purpose.expose().unwrap(), "tea");
}

#[tokio::test]
async fn a_created_table_refuses_plaintext() {
    let db = empty().await;
    run(&db, &of_customers().create().unwrap()).await;
    let plain = "insert into customers (id, tenant, city, email, ssn) values (1, 'acme', 'London', 'ada@example.com', null)";
    assert!(sqlx::query(plain).execute(&db.pool).await.is_err());
    customers(&db, &process(&db.folder)).insert(&Customer::new(1)).await.unwrap();
    assert!(sqlx::query("update customers set ssn = '900-12-3456'").execute(&db.pool).await.is_err());
    assert!(sqlx::query("update customers set ssn = null").execute(&db.pool).await.is_ok());
}

#[tokio::test]
async fn blind_indexes_are_created_with_their_indexes() {
    let db = empty().await;
    let ddl = of_customers().index_column("email_bidx").unique_index_column("ssn_bidx");
    let create = ddl.create().unwrap();
    assert_eq!(
        create.iter().filter(|statement| statement.kind == DdlKind::CreateIndex).count(),
        2,
        "{create}"
    );
    run(&db, &create).await;
    let report = examine(&db).await;
    assert!(report.findings.is_empty(), "{report}");
    customers(&db, &process(&db.folder)).insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    sql(&db, "update customers set ssn_bidx = 'ab' where id = 1").await;
    assert!(sqlx::query("update customers set ssn_bidx = 'ab'").execute(&db.pool).await.is_err());
    assert!(sqlx::query("update customers set ssn_bidx = 'AB' where id = 2").execute(&db.pool).await.is_ok());
}

#[tokio::test]
async fn checks_come_to_a_table_that_is_in_use() {
    let db = super::database().await;
    let cryptor = process(&db.folder);
    customers(&db, &cryptor).insert(&Customer::new(1)).await.unwrap();
    assert_eq!(examine(&db).await.of_kind(Kind::CheckMissing).count(), 2);
    run(&db, &of_customers().checks().unwrap()).await;
    let report = examine(&db).await;
    assert_eq!(report.of_kind(Kind::CheckMissing).count(), 0, "{report}");
    assert_eq!(report.of_kind(Kind::Trigger).count(), 0, "{report}");
    for refused in [
        "insert into customers values (2, 'acme', 'London', 'ada@example.com', null)",
        "update customers set ssn = '900-12-3456'",
        "update customers set email = 'enc:x'",
    ] {
        assert!(sqlx::query(refused).execute(&db.pool).await.is_err(), "{refused}");
    }
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(2)).await.unwrap();
    table.upsert(&Customer::new(2)).await.unwrap();
    assert!(sqlx::query("update customers set ssn = null, city = 'Paris'").execute(&db.pool).await.is_ok());
}

#[tokio::test]
async fn a_table_is_altered_to_what_the_model_needs() {
    let db = TestDatabase::new(3, &["create table customers (id bigint primary key, tenant varchar(100) not null, city varchar(100) not null)"]).await;
    let ddl = of_customers().index_column("email_bidx");
    let alter = ddl.alter(&db.pool).await.unwrap();
    assert_eq!(alter.iter().filter(|statement| statement.kind == DdlKind::AddColumn).count(), 3, "{alter}");
    run(&db, &alter).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
    assert!(examine(&db).await.is_sound());
    customers(&db, &process(&db.folder)).insert(&Customer::new(1)).await.unwrap();
    assert!(stored(&db, 1).await.0.starts_with("ENC:"));
}

#[tokio::test]
async fn a_table_that_is_missing_is_created() {
    let db = empty().await;
    let ddl = of_customers().in_table("clients");
    let alter = ddl.alter(&db.pool).await.unwrap();
    assert_eq!(alter, ddl.create().unwrap());
    run(&db, &alter).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
}

#[tokio::test]
async fn no_check_stands_in_the_way_of_plaintext_that_is_expected() {
    let ddl = Ddl::<Db>::of::<AcceptingCustomer>().unwrap();
    assert!(ddl.checks().unwrap().is_empty());
    assert!(!ddl.create().unwrap().to_string().contains("ENC:"));
    assert!(of_customers().create().unwrap().to_string().contains("ENC:"));
    // a mode says who writes, not what
    assert_eq!(
        Ddl::<Db>::of::<LimitedCustomer>().unwrap().checks().unwrap(),
        of_customers().checks().unwrap()
    );
}

#[tokio::test]
async fn names_that_are_too_long_stay_apart() {
    let long = "a_table_with_a_name_that_is_nearly_as_long_as_postgres_allows";
    let db = empty().await;
    let ddl = of_customers().in_table(long).index_column("email_bidx").index_column("email_bidx_v2");
    run(&db, &ddl.create().unwrap()).await;
    run(&db, &ddl.checks().unwrap()).await;
    assert!(ddl.alter(&db.pool).await.unwrap().is_empty());
    assert!(Ddl::<Db>::of::<Customer>().unwrap().in_table("a..b").create().is_err());
}

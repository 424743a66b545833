//! What a doctor finds in tables, and that it finds nothing in sound ones.

use std::sync::Arc;

use pii::{
    Cryptor, Doctor, DoctorReport, EncryptedStr, FileKeyStore, FindingKind as Kind, KeyAdmin, KeyRecord,
    KeyState, KeyStore, PiiModel, Severity, SqlTable, TestKeyring, doctor,
};
use sqlx::AssertSqlSafe;

use super::{
    super::{Db, EXACT_TEXT, LOOSE_COLLATION, LOOSE_TEXT, SEALED_TEXT},
    TestDatabase, customers, database, sql,
};
use crate::{
    models::{AcceptingCustomer, Account, Customer, DOCUMENTS, Document, PEOPLE, Person, PreparingCustomer},
    support::process,
};

fn sound() -> String {
    format!(
        "create table customers (id bigint not null primary key, tenant varchar(100) not null, \
         city varchar(100) not null, email {SEALED_TEXT} not null check (email like 'ENC:%'), \
         ssn {SEALED_TEXT} check (ssn like 'ENC:%'))"
    )
}

async fn with(ddl: &[&str]) -> TestDatabase {
    TestDatabase::new(4, ddl).await
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Customer>().examine().await.unwrap()
}

/// What was found about a column, as kind and severity.
fn about(report: &DoctorReport, column: &str) -> Vec<(Kind, Severity)> {
    let findings = report.findings.iter().filter(|finding| finding.column.as_deref() == Some(column));
    findings.map(|finding| (finding.kind, finding.severity)).collect()
}

fn has(report: &DoctorReport, kind: Kind, column: &str) -> bool {
    report.of_kind(kind).any(|finding| finding.column.as_deref() == Some(column))
}

async fn run(db: &TestDatabase, statement: String) {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&db.pool).await.unwrap();
}

#[tokio::test]
async fn nothing_is_found_in_a_sound_table() {
    let db = with(&[&sound()]).await;
    let cryptor = process(&db.folder);
    let table = customers(&db, &cryptor);
    table.insert_many(&(0..20).map(Customer::new).collect::<Vec<_>>()).await.unwrap();
    let store = FileKeyStore::open(db.folder.path().join("keys")).unwrap();
    let report = Doctor::new(&db.pool)
        .model::<Customer>()
        .key_store(&store)
        .cryptor(&cryptor)
        .examine()
        .await
        .unwrap();
    assert!(report.findings.is_empty(), "{report}");
    assert!(report.is_sound());
    assert_eq!(report.worst(), None);
    let [email, ssn] = &report.tables[0].columns[..] else { panic!("{report}") };
    assert_eq!((email.column.as_str(), email.sealed, email.plaintext), ("email", 20, 0));
    assert_eq!((ssn.column.as_str(), ssn.sealed, ssn.keys.len()), ("ssn", 20, 1));
    assert_eq!((ssn.keys[0].state, ssn.keys[0].is_inline, ssn.keys[0].values), (Some("active"), false, 20));
    assert_eq!(cryptor.stats().opened, 0);
}

#[tokio::test]
async fn several_models_are_examined_together() {
    let db = with(&[&sound(), DOCUMENTS]).await;
    let report = doctor::<(Customer, Document), _>(&db.pool).await.unwrap();
    let tables: Vec<_> = report.tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(tables, ["customers", "documents"]);
    assert_eq!(report.worst(), Some(Severity::Note), "{report}");
    assert!(has(&report, Kind::CheckMissing, "body"));
    let json = serde_json::to_value(&report).unwrap();
    let found = json["findings"].as_array().unwrap();
    let check = found.iter().find(|finding| finding["kind"] == "check_missing").unwrap();
    assert_eq!((&check["severity"], &check["table"]), (&"note".into(), &"documents".into()));
    assert_eq!(json["tables"][1]["columns"][0]["sealed"], 0);
}

#[tokio::test]
async fn a_table_or_column_that_is_missing_is_found() {
    let db = with(&[]).await;
    let report = examine(&db).await;
    assert_eq!(report.of_kind(Kind::TableMissing).count(), 1, "{report}");
    sql(&db, "create table customers (id bigint primary key, tenant varchar(100) not null, ssn text)").await;
    let report = examine(&db).await;
    for column in ["city", "email"] {
        assert_eq!(about(&report, column), [(Kind::ColumnMissing, Severity::Error)], "{report}");
    }
    assert!(!report.is_sound());
    assert!(!has(&report, Kind::ColumnMissing, "ssn"));
}

#[tokio::test]
async fn a_model_without_table_is_refused() {
    let db = with(&[]).await;
    #[derive(PiiModel)]
    #[pii(name = "nowhere")]
    struct Nowhere {
        #[pii(id)]
        id: i64,
        note: EncryptedStr,
    }
    let error = Doctor::new(&db.pool).model::<Nowhere>().examine().await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (pii::ErrorKind::Configuration, Some("nowhere")));
    let error =
        Doctor::new(&db.pool).model::<Customer>().longest("customer.city", 9).examine().await.unwrap_err();
    assert!(error.to_string().contains("`customer.city`"), "{error}");
    let report = Doctor::new(&db.pool).model_in::<Nowhere>("customers").examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::TableMissing).count(), 1);
}

#[tokio::test]
async fn types_of_plain_columns_are_compared() {
    let db = with(&[
        "create table customers (id bigint primary key, tenant text not null, city integer not null, \
                     email text not null, ssn text)",
    ])
    .await;
    let report = examine(&db).await;
    assert_eq!(about(&report, "city"), [(Kind::WrongType, Severity::Error)], "{report}");
    assert!(!has(&report, Kind::WrongType, "tenant") && !has(&report, Kind::WrongType, "id"), "{report}");
}

#[tokio::test]
async fn null_where_it_is_not_meant_is_found() {
    let db =
        with(&["create table customers (id bigint primary key, tenant text not null, city text not null, \
                     email text, ssn text not null)"])
        .await;
    let report = examine(&db).await;
    assert!(about(&report, "email").contains(&(Kind::Nullable, Severity::Note)), "{report}");
    assert!(about(&report, "ssn").contains(&(Kind::NotNullable, Severity::Error)), "{report}");
    let sound = examine(&with(&[&sound()]).await).await;
    assert_eq!(sound.of_kind(Kind::Nullable).count() + sound.of_kind(Kind::NotNullable).count(), 0);
}

#[tokio::test]
async fn indexes_and_keys_on_sealed_columns_are_found() {
    let db = with(&["create table customers (id bigint primary key, tenant varchar(100) not null, \
                     city varchar(100) not null, email varchar(200) not null, ssn varchar(200))"])
    .await;
    sql(&db, "create index by_city on customers (city)").await;
    let report = examine(&db).await;
    assert_eq!(
        report.of_kind(Kind::Index).count() + report.of_kind(Kind::UniqueIndex).count(),
        0,
        "{report}"
    );
    sql(&db, "create unique index by_email on customers (tenant, email)").await;
    sql(&db, "create index by_ssn on customers (ssn)").await;
    let report = examine(&db).await;
    let unique: Vec<_> = report.of_kind(Kind::UniqueIndex).collect();
    assert_eq!((unique.len(), unique[0].name.as_deref()), (1, Some("by_email")), "{report}");
    assert_eq!((unique[0].column.as_deref(), unique[0].severity), (Some("email"), Severity::Error));
    assert!(has(&report, Kind::Index, "ssn"), "{report}");
}

#[tokio::test]
async fn an_id_that_is_no_key_is_found() {
    let db = with(&["create table customers (id bigint, tenant text not null, city text not null, email text not null, ssn text)"])
        .await;
    assert_eq!(examine(&db).await.of_kind(Kind::IdNotUnique).count(), 1);
    sql(&db, "create unique index by_id on customers (id)").await;
    assert_eq!(examine(&db).await.of_kind(Kind::IdNotUnique).count(), 0);
}

#[tokio::test]
async fn a_view_is_found() {
    let db = database().await;
    sql(&db, "create view cities as select id, city from customers").await;
    assert_eq!(examine(&db).await.of_kind(Kind::View).count(), 0);
    sql(&db, "create view mails as select c.id, c.email from customers c").await;
    let report = examine(&db).await;
    let views: Vec<_> = report.of_kind(Kind::View).collect();
    assert_eq!((views.len(), views[0].column.as_deref()), (1, Some("email")), "{report}");
    assert!(views[0].name.as_deref().unwrap().ends_with("mails"));
    sql(&db, "create view all_of_them as select * from customers").await;
    assert_eq!(examine(&db).await.of_kind(Kind::View).count(), 3);
}

#[tokio::test]
async fn other_checks_and_foreign_keys_are_found() {
    let db = with(&[
        "create table mails (address varchar(200) primary key)",
        "create table customers (id bigint primary key, tenant text not null, city text not null check (city <> ''), \
         email varchar(200) not null references mails (address), ssn text check (length(ssn) = 11))",
    ])
    .await;
    let report = examine(&db).await;
    assert!(has(&report, Kind::ForeignKey, "email"), "{report}");
    assert!(has(&report, Kind::OtherCheck, "ssn"), "{report}");
    assert_eq!(report.of_kind(Kind::OtherCheck).count(), 1, "{report}");
}

#[tokio::test]
async fn ids_and_blind_indexes_with_a_loose_collation_are_found() {
    let db = with(&[LOOSE_COLLATION]).await;
    run(&db, format!("create table accounts (name {LOOSE_TEXT} primary key, owner text not null, owner_bidx {LOOSE_TEXT})")).await;
    sql(&db, "create index by_owner on accounts (owner_bidx)").await;
    let report = Doctor::new(&db.pool).model::<Account>().examine().await.unwrap();
    assert_eq!(about(&report, "name"), [(Kind::LooseCollation, Severity::Warning)], "{report}");
    assert!(about(&report, "owner_bidx").contains(&(Kind::LooseCollation, Severity::Error)), "{report}");
    let exact = format!(
        "create table accounts (name {EXACT_TEXT} primary key, owner text not null, owner_bidx {EXACT_TEXT}, \
         owner_bidx_v2 {EXACT_TEXT})"
    );
    let strict = with(&[&exact]).await;
    sql(&strict, "create index by_owner on accounts (owner_bidx)").await;
    let report = Doctor::new(&strict.pool).model::<Account>().examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::LooseCollation).count(), 0, "{report}");
    assert_eq!(about(&report, "owner_bidx"), []);
    assert_eq!(about(&report, "owner_bidx_v2"), [(Kind::IndexMissing, Severity::Warning)]);
}

#[tokio::test]
async fn a_plaintext_twin_is_found() {
    let db =
        with(&["create table customers (id bigint primary key, tenant text not null, city text not null, \
                     email text not null, email_plain text, old_ssn text, ssn text, ssn_bidx text)"])
        .await;
    sql(&db, "insert into customers values (1, 'acme', 'London', 'ENC:AAAA', 'ada.canary@example.com', null, null, null)").await;
    let report = examine(&db).await;
    assert_eq!(about(&report, "email_plain"), [(Kind::PlaintextTwin, Severity::Error)], "{report}");
    assert_eq!(report.of_kind(Kind::PlaintextTwin).next().unwrap().count, Some(1));
    assert_eq!(about(&report, "old_ssn"), [(Kind::PlaintextTwin, Severity::Note)], "{report}");
    assert_eq!(report.of_kind(Kind::PlaintextTwin).count(), 2);
    let report = Doctor::new(&db.pool).model::<Customer>().structure_only().examine().await.unwrap();
    assert_eq!(about(&report, "email_plain"), [(Kind::PlaintextTwin, Severity::Warning)], "{report}");
    assert!(report.tables[0].columns.is_empty());
}

/// Half of the values are plaintext, one is cut, one of another format.
async fn mixed() -> TestDatabase {
    let db = database().await;
    let cryptor = process(&db.folder);
    customers(&db, &cryptor).insert_many(&(1..=3).map(Customer::new).collect::<Vec<_>>()).await.unwrap();
    for statement in [
        "insert into customers values (4, 'acme', 'London', 'ada.canary@example.com', null)",
        "insert into customers values (5, 'acme', 'London', 'enc:canary', null)",
        "insert into customers values (6, 'acme', 'London', '', null)",
        "update customers set email = substr(email, 1, 100) where id = 2",
        "insert into customers select 7, tenant, city, substr(email, 1, 99), null from customers where id = 3",
        "insert into customers select 8, tenant, city, concat('ENC:AQEA', substr(email, 9)), null from customers where id = 3",
        "insert into customers select 9, tenant, city, concat('ENC:****', substr(email, 9)), null from customers where id = 3",
    ] {
        sql(&db, statement).await;
    }
    db
}

#[tokio::test]
async fn values_are_counted_by_what_they_are() {
    let db = mixed().await;
    let report = examine(&db).await;
    let email = &report.tables[0].columns[0];
    // cut to a multiple of four characters a value looks whole: only opening it shows
    assert_eq!((email.sealed, email.plaintext, email.damaged, email.foreign), (3, 3, 2, 1), "{report}");
    assert_eq!(email.longest_plaintext, 22);
    assert!(about(&report, "email").contains(&(Kind::PlaintextValues, Severity::Error)), "{report}");
    assert_eq!(report.of_kind(Kind::PlaintextValues).next().unwrap().count, Some(3));
    assert!(has(&report, Kind::DamagedValues, "email") && has(&report, Kind::ForeignValues, "email"));
    assert_eq!((report.tables[0].columns[1].sealed, report.tables[0].columns[1].plaintext), (3, 0));
    for printed in [report.to_string(), format!("{report:?}"), serde_json::to_string(&report).unwrap()] {
        assert!(!printed.contains("canary"), "{printed}");
    }
}

#[tokio::test]
async fn plaintext_is_as_bad_as_the_policy_says() {
    let db = mixed().await;
    let accepting = Doctor::new(&db.pool).model::<AcceptingCustomer>().examine().await.unwrap();
    assert!(about(&accepting, "email").contains(&(Kind::PlaintextValues, Severity::Warning)), "{accepting}");
    assert!(!has(&accepting, Kind::CheckMissing, "email"), "a check would be in the way");
    let preparing = Doctor::new(&db.pool).model::<PreparingCustomer>().examine().await.unwrap();
    assert!(about(&preparing, "email").contains(&(Kind::PlaintextValues, Severity::Note)), "{preparing}");
}

#[tokio::test]
async fn values_under_retired_destroyed_and_unknown_keys_are_found() {
    let db = database().await;
    let folder = db.folder.path().join("keys");
    let store = || FileKeyStore::open(&folder).unwrap();
    let admin = KeyAdmin::new(Arc::new(store())).keyring("default", Arc::new(TestKeyring::new()));
    let fill = async |ids: std::ops::Range<i64>, tenant: &str| {
        let rows: Vec<_> = ids.map(|id| Customer::of(id, tenant)).collect();
        customers(&db, &process(&db.folder)).insert_many(&rows).await.unwrap();
    };
    fill(0..2, "acme").await;
    fill(10..13, "gone").await;
    let report = Doctor::new(&db.pool).model::<Customer>().key_store(&store()).examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::RetiredKey).count(), 0, "{report}");
    admin.rotate(&active(&store(), "acme").await.slot, true).await.unwrap();
    fill(2..4, "acme").await;
    let gone = active(&store(), "gone").await;
    let destroyed = KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..gone.clone() };
    assert!(store().replace(&gone, &destroyed).await.unwrap());
    let elsewhere = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (20..21).map(Customer::new).collect();
    customers(&db, &process(&elsewhere)).insert_many(&rows).await.unwrap();
    let inline: Vec<_> = (30..35).map(Customer::new).collect();
    customers(&db, &crate::support::cryptor()).insert_many(&inline).await.unwrap();

    let report = Doctor::new(&db.pool).model::<Customer>().key_store(&store()).examine().await.unwrap();
    for (kind, severity, count) in [
        (Kind::RetiredKey, Severity::Note, 2),
        (Kind::DestroyedKey, Severity::Warning, 3),
        (Kind::UnknownKey, Severity::Error, 1),
    ] {
        let found: Vec<_> =
            report.of_kind(kind).filter(|finding| finding.column.as_deref() == Some("ssn")).collect();
        assert_eq!(found.len(), 1, "{kind:?} {report}");
        assert_eq!((found[0].severity, found[0].count), (severity, Some(count)), "{report}");
    }
    let ssn = &report.tables[0].columns[1];
    assert_eq!((ssn.sealed, ssn.keys.len()), (13, 5), "{report}");
    assert_eq!(ssn.keys.iter().filter(|key| key.is_inline).map(|key| key.values).sum::<u64>(), 5);
    // without a key store keys are counted, and nothing is said of them
    let report = examine(&db).await;
    assert_eq!(report.tables[0].columns[1].keys.len(), 5);
    assert_eq!(report.of_kind(Kind::UnknownKey).count(), 0);
}

async fn active(store: &FileKeyStore, tenant: &str) -> KeyRecord {
    let listed = store.list(None, 100).await.unwrap().into_iter().map(|(_, record)| record.unwrap());
    let is_it = |record: &KeyRecord| {
        record.state == KeyState::Active && record.slot.context.get("tenant") == Some(tenant)
    };
    listed.into_iter().find(is_it).unwrap()
}

#[tokio::test]
async fn values_inside_json_are_counted() {
    let db = with(&[PEOPLE]).await;
    let cryptor = process(&db.folder);
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor);
    people.insert(&Person::new(1)).await.unwrap();
    let examine = || Doctor::new(&db.pool).model::<Person>().examine();
    let report = examine().await.unwrap();
    let sealed = |report: &DoctorReport, column: &str| {
        report.tables[0].columns.iter().find(|values| values.column == column).unwrap().clone()
    };
    let person = Person::new(1);
    assert_eq!(sealed(&report, "phones").sealed, person.phones.len() as u64, "{report}");
    assert_eq!(sealed(&report, "contacts").sealed, person.contacts.len() as u64, "{report}");
    assert!(sealed(&report, "home").sealed >= 1 && sealed(&report, "home").keys.len() == 1, "{report}");
    assert!(report.is_sound(), "{report}");
    sql(&db, "update people set phones = '[\"canary\", null, 5]', home = '{\"city\": \"London\", \"street\": \"canary\"}', \
              contacts = 'canary'").await;
    let report = examine().await.unwrap();
    assert_eq!((sealed(&report, "phones").sealed, sealed(&report, "phones").plaintext), (0, 2), "{report}");
    assert_eq!(
        (sealed(&report, "home").sealed, sealed(&report, "home").plaintext),
        (0, 1),
        "the city is no sealed field"
    );
    assert_eq!(sealed(&report, "contacts").plaintext, 1);
    assert!(!report.is_sound() && !report.to_string().contains("canary"));
}

#[tokio::test]
async fn a_trigger_is_found() {
    let db = database().await;
    for statement in super::super::trigger("audit_city", "city") {
        run(&db, statement).await;
    }
    let report = examine(&db).await;
    let notes: Vec<_> = report.of_kind(Kind::Trigger).map(|finding| finding.severity).collect();
    assert_eq!(notes, [Severity::Note], "{report}");
    for statement in super::super::trigger("audit_email", "email") {
        run(&db, statement).await;
    }
    let report = examine(&db).await;
    assert!(about(&report, "email").contains(&(Kind::Trigger, Severity::Warning)), "{report}");
    assert!(!has(&report, Kind::Trigger, "ssn"), "{report}");
}

#[tokio::test]
async fn a_role_that_may_not_read_and_a_database_that_is_gone_are_errors() {
    let db = database().await;
    db.pool.close().await;
    let error = Doctor::new(&db.pool).model::<Customer>().examine().await.unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (pii::ErrorKind::Database, Some("customer")));
}

#[tokio::test]
async fn examining_changes_nothing_and_asks_for_no_key() {
    let db = mixed().await;
    let all = || async {
        let rows: Vec<(i64, String, Option<String>)> =
            sqlx::query_as("select id, email, ssn from customers order by id")
                .fetch_all(&db.pool)
                .await
                .unwrap();
        rows
    };
    let before = all().await;
    let cryptor: Cryptor = process(&db.folder);
    Doctor::new(&db.pool).model::<Customer>().cryptor(&cryptor).examine().await.unwrap();
    assert_eq!(all().await, before);
    assert_eq!(cryptor.stats().key_calls(), 0);
}

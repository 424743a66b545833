//! What a doctor finds in the columns of blind indexes.

use std::sync::Arc;

use pii::{
    Confirm, Doctor, DoctorReport, EncryptedStr, FileKeyStore, FindingKind as Kind, KeyAdmin, PiiModel,
    Retention, Severity, ShredScope, SqlTable, ctx, testing::assert_no_plaintext,
};
use sqlx::AssertSqlSafe;

use super::{
    super::{Db, EXACT_TEXT, SEALED_TEXT},
    TestDatabase, sql,
};
use crate::support::process;

#[derive(PiiModel, Clone)]
#[pii(name = "guest", table = "guests", context(tenant = self.tenant), from_row)]
struct Guest {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(
        blind_index(normalize = "email", versions(2)),
        blind_index(name = "login", unique, scope = "global")
    )]
    email: EncryptedStr,
    #[pii(blind_index(bits = 16))]
    country: Option<EncryptedStr>,
}

fn guest(id: i64) -> Guest {
    Guest {
        id,
        tenant: "acme".into(),
        email: EncryptedStr::new(format!("canary{id}@example.com")),
        country: Some(EncryptedStr::new(
            ["canary-fr", "canary-de", "canary-it"][usize::try_from(id).unwrap() % 3],
        )),
    }
}

/// A sound table, with something more.
async fn guests(more: &str) -> TestDatabase {
    let create = format!(
        "create table guests (id bigint not null primary key, tenant varchar(100) not null, \
         email {SEALED_TEXT} not null check (email like 'ENC:%'), country {SEALED_TEXT} check (country like 'ENC:%'), \
         email_bidx_v2 {EXACT_TEXT}, login_bidx {EXACT_TEXT}, country_bidx {EXACT_TEXT}{more})"
    );
    let db = TestDatabase::new(2, &[&create]).await;
    sql(&db, "create index by_email on guests (email_bidx_v2)").await;
    sql(&db, "create index by_country on guests (country_bidx)").await;
    db
}

async fn examine(db: &TestDatabase) -> DoctorReport {
    Doctor::new(&db.pool).model::<Guest>().examine().await.unwrap()
}

/// What was found about codes: column, kind, severity and count.
fn about(report: &DoctorReport, column: &str) -> Vec<(Kind, Severity, Option<u64>)> {
    let findings = report.findings.iter().filter(|finding| finding.column.as_deref() == Some(column));
    findings.map(|finding| (finding.kind, finding.severity, finding.count)).collect()
}

#[tokio::test]
async fn codes_are_counted_and_nothing_is_found_in_sound_ones() {
    let db = guests("").await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    let keys = tempfile::tempdir().unwrap();
    let table = SqlTable::<Guest, Db>::new(&db.pool, &process(&keys));
    table.insert_many(&(0..30).map(guest).collect::<Vec<_>>()).await.unwrap();
    let report = examine(&db).await;
    assert_eq!(report.findings.len(), 0, "{report}");
    let counted: Vec<_> = report.tables[0]
        .indexes
        .iter()
        .map(|index| (index.column.as_str(), index.codes, index.distinct))
        .collect();
    assert_eq!(counted, [("email_bidx_v2", 30, 30), ("login_bidx", 30, 30), ("country_bidx", 30, 3)]);
    assert!(report.to_string().contains("  country_bidx: 30 codes, 3 different\n"), "{report}");
    let structure = Doctor::new(&db.pool).model::<Guest>().structure_only().examine().await.unwrap();
    assert_eq!(structure.tables[0].indexes.len(), 0);
}

#[tokio::test]
async fn an_index_that_is_unique_in_the_model_must_be_so_in_the_database() {
    let db = guests("").await;
    for (statement, is_kept) in [
        ("create index by_login on guests (login_bidx)", false),
        ("create unique index by_tenant on guests (tenant, login_bidx)", false),
        ("create unique index by_email_too on guests (email_bidx_v2)", false),
        ("create unique index by_login_alone on guests (login_bidx)", true),
    ] {
        sql(&db, statement).await;
        let report = examine(&db).await;
        let found: Vec<_> =
            report.of_kind(Kind::UniqueMissing).map(|finding| finding.column.as_deref()).collect();
        assert_eq!(found, if is_kept { vec![] } else { vec![Some("login_bidx")] }, "{statement}: {report}");
        assert_eq!(report.is_sound(), is_kept);
    }
}

#[tokio::test]
async fn columns_of_versions_that_are_gone_may_be_dropped() {
    let db =
        guests(&format!(", email_bidx {EXACT_TEXT}, country_bidx_v7 {EXACT_TEXT}, city_bidx {EXACT_TEXT}"))
            .await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    sql(&db, "create index by_old on guests (email_bidx)").await;
    sql(&db, "insert into guests (id, tenant, email, email_bidx) values (1, 'acme', 'ENC:AAAA', 'ab')").await;
    let report = Doctor::new(&db.pool).model::<Guest>().examine().await.unwrap();
    assert_eq!(about(&report, "email_bidx"), [(Kind::RetiredIndex, Severity::Note, Some(1))], "{report}");
    assert_eq!(
        about(&report, "country_bidx_v7"),
        [(Kind::RetiredIndex, Severity::Note, Some(0))],
        "{report}"
    );
    assert_eq!(about(&report, "city_bidx"), [], "of no sealed field");
    let help = |column: &str| {
        let mut found = report.of_kind(Kind::RetiredIndex);
        found.find(|finding| finding.column.as_deref() == Some(column)).unwrap().help.clone()
    };
    assert!(help("email_bidx").contains("drop its index `by_old`, then ALTER TABLE"), "{report}");
    // what it says can be done
    let statement = format!("ALTER{}", help("country_bidx_v7").split_once("ALTER").unwrap().1);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&db.pool).await.unwrap();
    let report = examine(&db).await;
    assert_eq!(report.of_kind(Kind::RetiredIndex).count(), 1, "{report}");
    // nothing is counted without values
    let report = Doctor::new(&db.pool).model::<Guest>().structure_only().examine().await.unwrap();
    assert_eq!(report.of_kind(Kind::RetiredIndex).next().unwrap().count, None);
}

#[tokio::test]
async fn codes_that_are_missing_left_or_damaged_are_counted() {
    let db = guests("").await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    let keys = tempfile::tempdir().unwrap();
    let table = SqlTable::<Guest, Db>::new(&db.pool, &process(&keys));
    let mut rows: Vec<_> = (0..12).map(guest).collect();
    rows[11].country = None;
    table.insert_many(&rows).await.unwrap();
    sql(&db, "update guests set email_bidx_v2 = null where id in (1, 2, 3)").await;
    sql(&db, "update guests set country_bidx = 'abcd' where id = 11").await;
    // as long as they should be, in upper case; too short; not hexadecimal
    sql(&db, "update guests set country_bidx = 'ABCD' where id = 4").await;
    sql(&db, "update guests set country_bidx = 'ab' where id = 5").await;
    sql(&db, "update guests set country_bidx = 'abc ' where id = 6").await;
    sql(&db, "update guests set country_bidx = 'abcg' where id = 7").await;
    let report = examine(&db).await;
    assert_eq!(
        about(&report, "email_bidx_v2"),
        [(Kind::CodesMissing, Severity::Warning, Some(3))],
        "{report}"
    );
    assert_eq!(
        about(&report, "country_bidx"),
        [(Kind::DamagedCodes, Severity::Error, Some(4)), (Kind::CodesLeft, Severity::Warning, Some(1))],
        "{report}"
    );
    assert_no_plaintext(format!("{report} {report:?}"), &["canary", "acme", "ABCD", "abcg"]);
    // what the help says puts it right
    assert!(table.fill_indexes().await.unwrap().is_done());
    assert_eq!(about(&examine(&db).await, "country_bidx"), [(Kind::DamagedCodes, Severity::Error, Some(4))]);
    let report = table.fill_indexes().every_row().await.unwrap();
    assert_eq!((report.filled, report.unchanged), (4, 8));
    assert_eq!(examine(&db).await.findings.len(), 0);
}

#[tokio::test]
async fn values_that_are_erased_are_not_to_be_filled_in() {
    let db = guests("").await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    let keys = tempfile::tempdir().unwrap();
    let mut rows: Vec<_> = (0..6).map(guest).collect();
    rows[4].tenant = "gone".into();
    rows[5].tenant = "gone".into();
    SqlTable::<Guest, Db>::new(&db.pool, &process(&keys)).insert_many(&rows).await.unwrap();
    let store = Arc::new(FileKeyStore::open(keys.path().join("keys")).unwrap());
    let scope = ShredScope::Containing(ctx!(tenant = "gone").unwrap());
    let confirm = Confirm::i_know_values_become_unreadable();
    let admin = KeyAdmin::new(Arc::<FileKeyStore>::clone(&store));
    let receipt = admin.shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap();
    let table = SqlTable::<Guest, Db>::new(&db.pool, &process(&keys));
    assert_eq!(table.clear_indexes(receipt.context()).await.unwrap(), 2);
    sql(&db, "update guests set email_bidx_v2 = null where id = 1").await;

    let report = Doctor::new(&db.pool).model::<Guest>().key_store(&*store).examine().await.unwrap();
    let codes = &report.tables[0].indexes[0];
    assert_eq!((codes.codes, codes.missing, codes.erased), (3, 1, 2), "{report}");
    assert_eq!(
        report.of_kind(Kind::CodesMissing).map(|finding| finding.count).collect::<Vec<_>>(),
        [Some(1)]
    );
    // without a key store nobody can tell
    let report = examine(&db).await;
    assert_eq!(
        report.of_kind(Kind::CodesMissing).map(|finding| finding.count).collect::<Vec<_>>(),
        [Some(3), Some(2), Some(2)]
    );
}

#[tokio::test]
async fn few_values_that_repeat_are_told_by_how_often_they_occur() {
    let db = guests("").await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    let keys = tempfile::tempdir().unwrap();
    let table = SqlTable::<Guest, Db>::new(&db.pool, &process(&keys));
    table.insert_many(&(0..99).map(guest).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(examine(&db).await.findings.len(), 0, "too few to tell anything");
    table.insert_many(&(99..120).map(guest).collect::<Vec<_>>()).await.unwrap();
    let report = examine(&db).await;
    assert_eq!(about(&report, "country_bidx"), [(Kind::FewValues, Severity::Warning, Some(3))], "{report}");
    assert_eq!(report.findings.len(), 1, "values that are there once can't be told: {report}");
    assert!(report.is_sound());
    assert_no_plaintext(format!("{report} {report:?}"), &["canary"]);
}

#[tokio::test]
async fn bits_that_do_not_fit_the_number_of_values_are_noted() {
    let db = guests("").await;
    sql(&db, "create unique index by_login on guests (login_bidx)").await;
    let keys = tempfile::tempdir().unwrap();
    let table = SqlTable::<Guest, Db>::new(&db.pool, &process(&keys));
    let guests =
        (0..1_200).map(|id| Guest { country: Some(EncryptedStr::new(format!("country {id}"))), ..guest(id) });
    table.insert_many(&guests.collect::<Vec<_>>()).await.unwrap();
    let report = examine(&db).await;
    assert_eq!(about(&report, "country_bidx"), [(Kind::IndexBits, Severity::Note, None)], "{report}");
    let finding = report.of_kind(Kind::IndexBits).next().unwrap();
    assert!(finding.message.starts_with("16 bits for about 1"), "{report}");
    assert!(finding.help.starts_with("9 bits at most"), "{report}");
}

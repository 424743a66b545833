//! Jobs for the columns of blind indexes.

use std::{
    future::IntoFuture as _,
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_core::future::BoxFuture;
use pii::{
    Confirm, Cryptor, DataKey, EncryptedStr, ErrorKind, FileKeyStore, GeneratedKey, KeyAdmin, KeyBinding,
    Keyring, PiiModel, Result, Retention, ShredReceipt, ShredScope, SqlTable, TestKeyring, WrappedKey, ctx,
    testing::assert_no_plaintext,
};
use sqlx::Pool;

use super::{Db, TestDatabase, in_dialect, sql};
use crate::{
    models::{SUBSCRIBERS, Subscriber, SubscriberPhone},
    support::{is_send, process},
};

/// The rows of subscribers as programs write them that know no index.
#[derive(PiiModel, Clone)]
#[pii(name = "subscriber", table = "subscribers", context(app = "tests", tenant = self.tenant), from_row)]
struct OldSubscriber {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

impl OldSubscriber {
    fn new(id: i64, email: &str) -> Self {
        Self { id, tenant: "acme".into(), email: EncryptedStr::new(email), phone: None }
    }
}

struct Shop {
    db: TestDatabase,
    keys: tempfile::TempDir,
}

impl Shop {
    /// With so many rows from before the index.
    async fn with(rows: i64) -> Self {
        let shop =
            Self { db: TestDatabase::new(4, &[SUBSCRIBERS]).await, keys: tempfile::tempdir().unwrap() };
        let old: Vec<_> = (0..rows).map(|id| OldSubscriber::new(id, &email(id))).collect();
        shop.old().insert_many(&old).await.unwrap();
        shop
    }

    fn old(&self) -> SqlTable<OldSubscriber, Db> {
        SqlTable::new(&self.db.pool, &process(&self.keys))
    }

    fn subscribers(&self) -> SqlTable<Subscriber, Db> {
        self.through(&process(&self.keys))
    }

    fn through(&self, cryptor: &Cryptor) -> SqlTable<Subscriber, Db> {
        SqlTable::new(&self.db.pool, cryptor)
    }

    /// Everything that stands in the table, as it is stored.
    async fn stored(&self) -> Vec<(i64, String, Option<String>, Option<String>, Option<String>)> {
        sqlx::query_as("select id, email, email_bidx, login_bidx, phone_bidx from subscribers order by id")
            .fetch_all(&self.db.pool)
            .await
            .unwrap()
    }

    async fn found(&self, email: &str) -> Vec<i64> {
        let found = self.subscribers().find(Subscriber::by_email("acme", email)).await.unwrap();
        found.iter().map(|subscriber| subscriber.id).collect()
    }
}

fn email(id: i64) -> String {
    format!("Canary-{id}@example.com")
}

fn counts(report: &pii::index::IndexFillReport) -> [u64; 6] {
    let counts = [report.filled, report.unchanged, report.gone, report.left, report.erased, report.failed];
    assert_eq!(report.rows_read, counts.iter().sum::<u64>(), "no row is lost: {report}");
    counts
}

#[tokio::test]
async fn rows_from_before_an_index_are_found_after_they_were_filled_in() {
    let shop = Shop::with(25).await;
    let before = shop.stored().await;
    let cryptor = process(&shop.keys);
    shop.through(&cryptor).insert(&Subscriber::new(100, "new@example.com")).await.unwrap();
    let calls = cryptor.stats().key_calls();
    assert_eq!(shop.found(&email(7)).await, [0; 0]);

    let subscribers = shop.through(&cryptor);
    let mut seen = Vec::new();
    let job = subscribers.fill_indexes().chunk_rows(10).on_chunk(|report| {
        seen.push((report.filled, report.last_id.clone().unwrap()));
        ControlFlow::Continue(())
    });
    let report = is_send(job.into_future()).await.unwrap();
    assert!(report.is_done(), "{report}");
    assert_eq!(counts(&report), [25, 0, 0, 0, 0, 0]);
    assert_eq!(seen, [(10, "9".into()), (20, "19".into()), (25, "24".into())]);
    assert_eq!(cryptor.stats().key_calls(), calls + 1, "that of the old values alone was not at hand");
    for id in [0, 7, 24] {
        assert_eq!(shop.found(&email(id).to_lowercase()).await, [id]);
    }
    let after = shop.stored().await;
    assert!(before.iter().zip(&after).all(|(before, after)| before.1 == after.1), "values stay as they are");

    // once more: nothing to do
    let report = shop.subscribers().fill_indexes().await.unwrap();
    assert_eq!((report.rows_read, report.is_done()), (0, true));
    let report = shop.subscribers().fill_indexes().every_row().await.unwrap();
    assert_eq!(counts(&report), [0, 26, 0, 0, 0, 0]);
    assert_eq!(shop.stored().await, after);
}

#[tokio::test]
async fn a_process_of_its_own_asks_for_each_key_once() {
    let shop = Shop::with(25).await;
    let mut phones: Vec<_> = (0..25).map(|id| OldSubscriber::new(id, &email(id))).collect();
    phones.iter_mut().for_each(|row| row.phone = Some(EncryptedStr::new(format!("555 {}", row.id))));
    shop.old().upsert_many(&phones).await.unwrap();
    // the first job makes the index keys: one of the tenant, one of all
    let first = process(&shop.keys);
    let report = shop.through(&first).fill_indexes().chunk_rows(5).await.unwrap();
    assert_eq!((report.filled, first.stats().key_calls()), (25, 3));
    let second = process(&shop.keys);
    shop.through(&second).fill_indexes().every_row().chunk_rows(5).await.unwrap();
    assert_eq!(second.stats().key_calls(), 3, "one for the values, two for the indexes");
    assert!(shop.stored().await.iter().all(|row| row.2.is_some() && row.3.is_some() && row.4.is_some()));
}

#[tokio::test]
async fn a_job_that_was_stopped_goes_on() {
    let shop = Shop::with(20).await;
    let subscribers = shop.subscribers();
    let report = subscribers.fill_indexes().chunk_rows(6).on_chunk(|_| ControlFlow::Break(())).await.unwrap();
    assert_eq!((report.filled, report.is_complete, report.is_done()), (6, false, false));
    assert!(report.to_string().ends_with("not at the end yet"), "{report}");
    let last: i64 = report.last_id.unwrap().parse().unwrap();
    let report = subscribers.fill_indexes().every_row().after(last).chunk_rows(4).await.unwrap();
    assert_eq!(counts(&report), [14, 0, 0, 0, 0, 0]);
    assert!(shop.stored().await.iter().all(|row| row.2.is_some()));
    // given up in the middle: whole chunks are there, and the rest comes with the next run
    let shop = Shop::with(40).await;
    let subscribers = shop.subscribers();
    let job = subscribers.fill_indexes().chunk_rows(2);
    let _ = tokio::time::timeout(std::time::Duration::from_millis(15), job.into_future()).await;
    assert!(subscribers.fill_indexes().await.unwrap().is_done());
    assert_eq!(counts(&subscribers.fill_indexes().every_row().await.unwrap()), [0, 40, 0, 0, 0, 0]);
}

#[tokio::test]
async fn codes_that_old_programs_left_behind_are_corrected() {
    let shop = Shop::with(3).await;
    let subscribers = shop.subscribers();
    subscribers.fill_indexes().await.unwrap();
    let old = shop.old();
    let mut row = old.get(1).await.unwrap();
    row.email.set("changed@example.com");
    old.update(&row).await.unwrap();
    assert_eq!(shop.found(&email(1)).await, [1], "by the value that it had");
    assert_eq!(subscribers.fill_indexes().await.unwrap().rows_read, 0);
    let report = subscribers.fill_indexes().every_row().await.unwrap();
    assert_eq!(counts(&report), [1, 2, 0, 0, 0, 0]);
    assert_eq!(shop.found(&email(1)).await, [0; 0]);
    assert_eq!(shop.found("changed@example.com").await, [1]);

    // a code without a value is one of a value that is gone
    sql(&shop.db, "update subscribers set phone_bidx = '80' where id = 2").await;
    assert_eq!(counts(&subscribers.fill_indexes().await.unwrap()), [1, 0, 0, 0, 0, 0]);
    assert_eq!(shop.stored().await[2].4, None);
}

/// Writes to a row between the job's reading and its writing: when the job asks for its first key.
struct Meddler {
    pool: Pool<Db>,
    statement: &'static str,
    text: String,
    inner: TestKeyring,
}

impl Keyring for Meddler {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        self.inner.generate(binding)
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            sqlx::query(in_dialect(self.statement)).bind(&self.text).execute(&self.pool).await.unwrap();
            self.inner.unwrap(copies, binding, is_wanted).await
        })
    }
}

impl Shop {
    /// A cryptor whose first key comes with a write of someone else.
    fn meddling(&self, statement: &'static str, text: &str) -> Cryptor {
        let (pool, text) = (self.db.pool.clone(), text.to_owned());
        let keyring = Meddler { pool, statement, text, inner: TestKeyring::new() };
        let store = FileKeyStore::open(self.keys.path().join("keys")).unwrap();
        Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap()
    }

    /// Changes row 1 as another program does, and gives what it holds then.
    async fn change(&self, email: &str) -> String {
        let old = self.old();
        let mut row = old.get(1).await.unwrap();
        row.email.set(email);
        old.update(&row).await.unwrap();
        self.stored().await[1].1.clone()
    }
}

#[tokio::test]
async fn a_row_that_changes_meanwhile_gets_the_codes_of_what_it_holds() {
    let shop = Shop::with(3).await;
    let before = shop.stored().await[1].1.clone();
    let changed = shop.change("meanwhile@example.com").await;
    sqlx::query(in_dialect("update subscribers set email = $1 where id = 1"))
        .bind(&before)
        .execute(&shop.db.pool)
        .await
        .unwrap();

    let meddling = shop.meddling("update subscribers set email = $1 where id = 1", &changed);
    let report = shop.through(&meddling).fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.retries), ([3, 0, 0, 0, 0, 0], 1));
    assert_eq!(shop.stored().await[1].1, changed, "nobody's change is overwritten");
    assert_eq!(shop.found("meanwhile@example.com").await, [1]);
    assert_eq!(shop.found(&email(1)).await, [0; 0]);

    // one attempt only: the row is told, and left as it is
    sql(&shop.db, "update subscribers set email_bidx = null").await;
    let meddling = shop.meddling("update subscribers set email = $1 where id = 1", &before);
    let report = shop.through(&meddling).fill_indexes().attempts(1).await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([2, 0, 0, 1, 0, 0], false));
    assert_eq!(shop.stored().await[1].2, None);

    // and one that is gone stays gone
    let meddling = shop.meddling("delete from subscribers where email = $1", &before);
    let report = shop.through(&meddling).fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([0, 0, 1, 0, 0, 0], true));
    assert_eq!(shop.stored().await.len(), 2);
}

fn is_deadlock(error: &pii::Error) -> bool {
    let database = pii::sqlx_error(error).and_then(|error| error.as_database_error());
    database.and_then(|error| error.code()).is_some_and(|code| code == "40001")
}

#[tokio::test]
async fn writers_and_a_job_at_the_same_time_leave_right_codes() {
    const ROWS: i64 = 60;
    let shop = Arc::new(Shop::with(ROWS).await);
    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..2)
        .map(|writer: i64| {
            let (shop, is_over) = (Arc::clone(&shop), Arc::clone(&is_over));
            tokio::spawn(async move {
                let subscribers = shop.subscribers();
                let mut written = 0_i64;
                while !is_over.load(Ordering::Relaxed) {
                    let id = (written * 14 + writer) % ROWS;
                    let mut row = subscribers.get(id).await.unwrap();
                    row.email.set(format!("canary-{id}-{written}@new.example"));
                    match subscribers.update(&row).await {
                        Ok(()) => written += 1,
                        // InnoDB ends one of two transactions that wait for each other
                        Err(error) => assert!(is_deadlock(&error), "{error}"),
                    }
                }
                written
            })
        })
        .collect();
    let subscribers = shop.subscribers();
    for round in 0..8 {
        // as if the codes of some rows were still to be written
        for id in (round..ROWS).step_by(3) {
            let null = "update subscribers set email_bidx = null, login_bidx = null where id = $1";
            sqlx::query(in_dialect(null)).bind(id).execute(&shop.db.pool).await.unwrap();
        }
        let report = subscribers.fill_indexes().chunk_rows(20).attempts(50).await.unwrap();
        assert!(report.is_done(), "{round}: {report} {:?}", report.failures);
        counts(&report);
    }
    is_over.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(written > 0);
    let report = subscribers.fill_indexes().every_row().await.unwrap();
    assert_eq!(counts(&report), [0, 60, 0, 0, 0, 0], "no code is one of another value; {written} written");
}

#[tokio::test]
async fn a_row_that_does_not_open_is_told_and_the_others_are_filled_in() {
    let shop = Shop::with(6).await;
    sql(&shop.db, "update subscribers set tenant = 'zeta' where id = 2").await;
    sql(&shop.db, "update subscribers set email = 'ENC:AgHrSPL9' where id = 4").await;
    let report = shop.subscribers().fill_indexes().chunk_rows(3).await.unwrap();
    assert_eq!((counts(&report), report.is_complete, report.is_done()), ([4, 0, 0, 0, 0, 2], true, false));
    let rows: Vec<_> = report.failures.iter().map(|error| error.row_id().unwrap()).collect();
    assert_eq!(rows, ["2", "4"]);
    assert_no_plaintext(format!("{report} {report:?}"), &["canary", "zeta", "AgHrSPL9"]);
    let lacking: Vec<i64> =
        shop.stored().await.iter().filter(|row| row.2.is_none()).map(|row| row.0).collect();
    assert_eq!(lacking, [2, 4]);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_hold_up_the_others() {
    let nullable = "create table subscribers (id bigint primary key, tenant varchar(40), email text, \
                    email_bidx text, login_bidx text, phone text, phone_bidx text)";
    let shop = Shop { db: TestDatabase::new(4, &[nullable]).await, keys: tempfile::tempdir().unwrap() };
    let old: Vec<_> = (0..9).map(|id| OldSubscriber::new(id, &email(id % 7))).collect();
    shop.old().insert_many(&old).await.unwrap();
    sql(&shop.db, "update subscribers set tenant = null where id in (2, 4, 8)").await;
    let report = shop.subscribers().fill_indexes().chunk_rows(3).await.unwrap();
    assert_eq!((report.rows_read, report.filled, report.failed), (9, 6, 3), "{report}");
    assert!(report.is_complete && !report.is_done());
    let rows: Vec<_> = report.failures.iter().map(|error| (error.row_id(), error.field_name())).collect();
    assert_eq!(rows, ["2", "4", "8"].map(|row| (Some(row), Some("tenant"))));
    assert_eq!(report.last_id.as_deref(), Some("8"));
    assert_eq!(shop.found(&email(5)).await, [5]);

    let duplicates = shop.subscribers().index_duplicates("email").await.unwrap();
    assert_eq!((duplicates.rows, duplicates.groups, duplicates.failed), (6, 1, 3), "{duplicates}");
    assert_eq!(duplicates.failures[0].row_id(), Some("2"));
    sql(&shop.db, "update subscribers set tenant = 'acme' where tenant is null").await;
    assert!(shop.subscribers().fill_indexes().await.unwrap().is_done());
}

#[tokio::test]
async fn a_job_stays_in_the_scope_of_its_cryptor() {
    let shop = Shop::with(3).await;
    shop.old()
        .insert(&OldSubscriber { tenant: "zeta".into(), ..OldSubscriber::new(3, "zeta@example.com") })
        .await
        .unwrap();
    let scoped = process(&shop.keys).scoped(ctx!(tenant = "zeta"));
    let subscribers = shop.through(&scoped);
    assert_eq!(subscribers.index_duplicates("email").await.unwrap().rows, 1);
    assert_eq!(counts(&subscribers.fill_indexes().await.unwrap()), [1, 0, 0, 0, 0, 0]);
    let filled: Vec<_> = shop.stored().await.iter().map(|row| row.2.is_some()).collect();
    assert_eq!(filled, [false, false, false, true]);
    // nothing of another tenant is cleared either
    shop.subscribers().fill_indexes().await.unwrap();
    assert_eq!(subscribers.clear_indexes(ctx!(tenant = "acme")).await.unwrap(), 0);
    assert_eq!(subscribers.clear_indexes(ctx!(tenant = "zeta")).await.unwrap(), 1);
}

#[tokio::test]
async fn what_concerns_all_rows_ends_the_job() {
    let shop = Shop::with(2).await;
    let no_index = shop.old();
    assert_eq!(no_index.fill_indexes().await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(
        no_index.clear_indexes(ctx!(tenant = "acme")).await.unwrap_err().kind(),
        ErrorKind::Configuration
    );
    let view = SqlTable::<SubscriberPhone, Db>::new(&shop.db.pool, &process(&shop.keys));
    let error = view.fill_indexes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`email`"), "{error}");
    let write_only = process(&shop.keys).limited_to(pii::Mode::WriteOnly);
    assert_eq!(shop.through(&write_only).fill_indexes().await.unwrap_err().kind(), ErrorKind::Mode);
    assert!(shop.stored().await.iter().all(|row| row.2.is_none()));
    assert!(shop.subscribers().fill_indexes().await.unwrap().is_done());
    // values that carry their keys open without a key store, and have no index
    let inline = crate::support::cryptor();
    let carrying = SqlTable::<OldSubscriber, Db>::new(&shop.db.pool, &inline);
    carrying.insert(&OldSubscriber::new(9, "inline@example.com")).await.unwrap();
    let error = shop.through(&inline).fill_indexes().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains(".key_store("), "{error}");
}

#[tokio::test]
async fn duplicates_are_found_before_the_database_is_asked() {
    // without the columns of the index
    let db = TestDatabase::new(
        2,
        &["create table subscribers (id bigint primary key, tenant text not null, email text not null, phone text)"],
    )
    .await;
    let shop = Shop { db, keys: tempfile::tempdir().unwrap() };
    let mut rows: Vec<_> = (0..30).map(|id| OldSubscriber::new(id, &email(id))).collect();
    for (id, same) in
        [(10, " CANARY-3@example.com"), (20, "canary-3@EXAMPLE.com"), (29, "canary-5@example.com")]
    {
        rows[id].email = EncryptedStr::new(same);
    }
    rows[7].email = EncryptedStr::new(" ");
    rows[20].tenant = "zeta".into();
    shop.old().insert_many(&rows).await.unwrap();
    let subscribers = shop.subscribers();

    // of all tenants
    let login = is_send(subscribers.index_duplicates("login").chunk_rows(7).into_future()).await.unwrap();
    assert_eq!((login.rows, login.empty, login.groups, login.duplicates), (29, 1, 2, 5));
    let told: Vec<_> = login.shown.iter().map(|same| (same.rows, same.ids.join(" "))).collect();
    assert_eq!(told, [(3, "3 10 20".to_owned()), (2, "5 29".to_owned())]);
    assert!(!login.is_unique());
    // within a tenant
    let email = subscribers.index_duplicates("email").at_most(1).await.unwrap();
    assert_eq!((email.groups, email.duplicates, email.shown.len()), (2, 4, 1));
    assert_eq!(email.shown[0].ids, ["3", "10"]);
    let printed = format!("{login} {login:?} {email} {email:?}");
    assert_no_plaintext(&printed, &["canary", "example.com", "zeta", "acme"]);
    assert!(email.to_string().ends_with("2 rows: 3, 10\n  and 1 values more"), "{email}");
    assert!(
        !printed.bytes().collect::<Vec<_>>().windows(20).any(|run| run.iter().all(u8::is_ascii_hexdigit))
    );

    sql(&shop.db, "delete from subscribers where id in (10, 20, 29)").await;
    assert!(subscribers.index_duplicates("login").await.unwrap().is_unique());
    let refused = subscribers.index_duplicates("phone").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Configuration);
    assert!(refused.to_string().contains("1 bits"), "{refused}");
    assert_eq!(subscribers.index_duplicates("nobody").await.unwrap_err().kind(), ErrorKind::Configuration);
    sql(&shop.db, "update subscribers set tenant = 'zeta' where id = 1").await;
    let damaged = subscribers.index_duplicates("login").await.unwrap();
    assert_eq!((damaged.groups, damaged.failed, damaged.is_unique()), (0, 1, false));
}

#[tokio::test]
async fn a_value_that_must_be_unique_fails_its_own_row_alone() {
    let shop = Shop::with(6).await;
    let twin = OldSubscriber::new(6, &email(2));
    shop.old().insert(&twin).await.unwrap();
    let report = shop.subscribers().fill_indexes().await.unwrap();
    assert_eq!(counts(&report), [6, 0, 0, 0, 0, 1]);
    let error = &report.failures[0];
    assert_eq!(
        (error.kind(), error.field_name(), error.row_id()),
        (ErrorKind::Duplicate, Some("email"), Some("6"))
    );
    assert_no_plaintext(format!("{error} {error:?}"), &["canary-2"]);
    assert_eq!(shop.found(&email(2)).await, [2]);
    sql(&shop.db, "delete from subscribers where id = 2").await;
    assert!(shop.subscribers().fill_indexes().await.unwrap().is_done());
    assert_eq!(shop.found(&email(2)).await, [6]);
}

const READERS: &str = "create table readers (id bigint primary key, tenant text not null, person text not null, \
     email text not null, email_bidx text, login_bidx text)";

/// The rows of persons.
#[derive(PiiModel, Clone)]
#[pii(name = "reader", table = "readers", from_row)]
#[pii(context(app = "tests", tenant = self.tenant), subject = self.person)]
struct Reader {
    #[pii(id)]
    id: i64,
    tenant: String,
    person: String,
    #[pii(blind_index(normalize = "email"), blind_index(name = "login", scope = "global"))]
    email: EncryptedStr,
}

/// Two rows of each person.
fn reader(id: i64, tenant: &str) -> Reader {
    let person = format!("person-{}", id / 2);
    Reader { id, tenant: tenant.into(), person, email: EncryptedStr::new(format!("{id}@example.com")) }
}

struct Library {
    db: TestDatabase,
    keys: tempfile::TempDir,
}

impl Library {
    async fn new() -> Self {
        let library = Self { db: TestDatabase::new(2, &[READERS]).await, keys: tempfile::tempdir().unwrap() };
        let readers =
            [0, 1, 2, 3].map(|id| reader(id, "acme")).into_iter().chain([4, 5].map(|id| reader(id, "zeta")));
        library.readers().insert_many(&readers.collect::<Vec<_>>()).await.unwrap();
        library
    }

    /// In a process that holds no keys yet.
    fn readers(&self) -> SqlTable<Reader, Db> {
        SqlTable::new(&self.db.pool, &process(&self.keys))
    }

    async fn shred(&self, scope: ShredScope) -> ShredReceipt {
        let store = Arc::new(FileKeyStore::open(self.keys.path().join("keys")).unwrap());
        let confirm = Confirm::i_know_values_become_unreadable();
        KeyAdmin::new(store).shred(&scope, &Retention::default(), confirm, |_| ()).await.unwrap()
    }

    /// The rows that have codes, in both columns.
    async fn indexed(&self) -> (Vec<i64>, Vec<i64>) {
        let mut indexed = (Vec::new(), Vec::new());
        let select = "select id, email_bidx, login_bidx from readers order by id";
        let rows: Vec<(i64, Option<String>, Option<String>)> =
            sqlx::query_as(select).fetch_all(&self.db.pool).await.unwrap();
        for (id, email, login) in rows {
            indexed.0.extend(email.map(|_| id));
            indexed.1.extend(login.map(|_| id));
        }
        indexed
    }
}

#[tokio::test]
async fn the_codes_of_a_person_outlive_the_keys_until_they_are_cleared() {
    let library = Library::new().await;
    let receipt = library.shred(ShredScope::Containing(ctx!(subject = "person-1").unwrap())).await;
    let readers = library.readers();
    // the index key is the tenant's: whoever has it can still ask for the person
    let search = || Reader::by_email("acme", "2@example.com");
    assert_eq!(readers.find(search()).one().await.unwrap().id, 2);

    assert_eq!(readers.clear_indexes(ctx!(subject = "person-1")).await.unwrap(), 2);
    assert_eq!(library.indexed().await, (vec![0, 1, 4, 5], vec![0, 1, 4, 5]));
    assert!(!readers.find(search()).exists().await.unwrap());
    assert!(!readers.find(Reader::by_login("2@example.com")).exists().await.unwrap());
    assert_eq!(
        readers.find(Reader::by_email("acme", "0@example.com")).decrypt_pii().one().await.unwrap().id,
        0
    );
    // the rows are there, with their sealed values; a job does not bring the codes back
    assert!(readers.get(2).await.is_ok());
    let report = readers.fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([0, 0, 0, 0, 2, 0], true));
    let duplicates = readers.index_duplicates("email").await.unwrap();
    assert_eq!((duplicates.rows, duplicates.erased, duplicates.is_unique()), (4, 2, true));

    // a backup of the table brings them back; so does the receipt's context away
    let restored = library.db.pool.clone();
    sqlx::query("update readers set email_bidx = 'ab' where id in (2, 3)").execute(&restored).await.unwrap();
    let receipt = ShredReceipt::from_json(receipt.to_json().unwrap().as_bytes()).unwrap();
    assert_eq!(receipt.context().unwrap(), ctx!(subject = "person-1").unwrap());
    assert_eq!(readers.clear_indexes(receipt.context()).await.unwrap(), 2);
    assert_eq!(readers.clear_indexes(receipt.context()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_tenant_loses_its_codes_with_its_index_key_and_those_of_all_by_being_cleared() {
    let library = Library::new().await;
    let receipt = library.shred(ShredScope::Containing(ctx!(tenant = "acme").unwrap())).await;
    let readers = library.readers();
    let error = readers.find(Reader::by_email("acme", "2@example.com")).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Erased);
    // an index of all tenants is under a key of all
    assert_eq!(readers.find(Reader::by_login("2@example.com")).one().await.unwrap().id, 2);
    let mut tx = library.db.pool.begin().await.unwrap();
    assert_eq!(readers.clear_indexes(receipt.context()).on(&mut tx).await.unwrap(), 4);
    tx.rollback().await.unwrap();
    assert_eq!(library.indexed().await.0.len(), 6, "rolled back");
    assert_eq!(readers.clear_indexes(receipt.context()).await.unwrap(), 4);
    assert_eq!(library.indexed().await, (vec![4, 5], vec![4, 5]));
    assert!(!readers.find(Reader::by_login("2@example.com")).exists().await.unwrap());
    assert_eq!(readers.find(Reader::by_email("zeta", "4@example.com")).one().await.unwrap().id, 4);
}

#[tokio::test]
async fn an_index_key_that_is_gone_alone_fails_no_other_tenant() {
    let library = Library::new().await;
    // the tenant's own keys: those of its persons have a pair more
    library.shred(ShredScope::Exactly(ctx!(app = "tests", tenant = "acme").unwrap())).await;
    let readers = library.readers();
    assert!(readers.get(0).decrypt_pii().await.is_ok());
    sqlx::query("update readers set email_bidx = null").execute(&library.db.pool).await.unwrap();
    let report = readers.fill_indexes().await.unwrap();
    assert_eq!((counts(&report), report.is_done()), ([2, 0, 0, 0, 4, 0], true));
    assert_eq!(library.indexed().await.0, [4, 5]);
}

/// A row whose tenant is written as an expression.
#[derive(PiiModel)]
#[pii(name = "subscriber", table = "subscribers", context(app = "tests", tenant = self.tenant.to_lowercase()), from_row)]
struct ByExpression {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(blind_index)]
    email: EncryptedStr,
}

#[tokio::test]
async fn a_context_that_no_column_tells_is_refused() {
    let shop = Shop::with(2).await;
    shop.subscribers().fill_indexes().await.unwrap();
    let subscribers = shop.subscribers();
    for (context, named) in [
        (ctx!(app = "other", tenant = "acme"), "`app`"),
        (ctx!(tenant = "acme", subject = "somebody"), "`subject`"),
        (Ok(pii::EncryptionContext::empty()), "at least one"),
    ] {
        let error = subscribers.clear_indexes(context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidContext);
        assert!(error.to_string().contains(named), "{error}");
        assert_no_plaintext(format!("{error:?}"), &["acme", "somebody", "other"]);
    }
    let by_expression = SqlTable::<ByExpression, Db>::new(&shop.db.pool, &process(&shop.keys));
    let error = by_expression.clear_indexes(ctx!(tenant = "acme")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("`tenant`"), "{error}");
    assert!(shop.stored().await.iter().all(|row| row.2.is_some()), "nothing was cleared");
    assert_eq!(subscribers.clear_indexes(ctx!(app = "tests", tenant = "acme")).await.unwrap(), 2);
}

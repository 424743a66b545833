//! Sealed columns beside plain ones that older programs go on using.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use pii::{
    Adoption, Cryptor, Encrypted, EncryptedStr, ErrorKind, FieldPolicies, Json, PiiModel,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    ShadowColumn, SqlTable, Swap,
    testing::assert_sealed_text,
};
use sqlx::{AssertSqlSafe, Database as _};

use super::{
    super::{Db, in_dialect},
    TestDatabase, sql,
};
use crate::support::{Errors, cryptor};

/// Columns that can hold no sealed text, or no text at all.
const PATIENTS: &str = "create table patients (id bigint primary key, tenant text not null, email varchar(40), \
                        birthday date, balance numeric(10,2))";

#[derive(PiiModel, Clone)]
#[pii(name = "patient", table = "patients", context(app = "tests", tenant = self.tenant), from_row)]
struct Patient {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(column = "email_sealed")]
    email: Option<EncryptedStr>,
    #[pii(column = "birthday_sealed")]
    birthday: Option<EncryptedStr>,
    #[pii(name = "amount", column = "balance_sealed")]
    balance: Option<Encrypted<Json<f64>>>,
}

fn patient(id: i64, email: &str) -> Patient {
    Patient {
        id,
        tenant: "acme".into(),
        email: Some(EncryptedStr::new(email)),
        birthday: Some(EncryptedStr::new("1815-12-10")),
        balance: Some(Encrypted::json(&12.25).unwrap()),
    }
}

fn shadows() -> [ShadowColumn<Db>; 3] {
    let of = |field| ShadowColumn::of::<Patient>(field).unwrap();
    [of("email"), of("birthday"), of("amount").replacing("balance")]
}

async fn run(db: &TestDatabase, statements: Vec<String>) {
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&db.pool).await.unwrap();
    }
}

async fn run_all(db: &TestDatabase, statements: impl Fn(&ShadowColumn<Db>) -> Vec<String>) {
    for shadow in shadows() {
        run(db, statements(&shadow)).await;
    }
}

/// A table with shadow columns and no rows.
async fn with_shadows() -> (TestDatabase, Cryptor, FieldPolicies) {
    let db = TestDatabase::new(4, &[PATIENTS]).await;
    run_all(&db, ShadowColumn::add).await;
    let policies = FieldPolicies::new();
    policies.set_model("patient", Prepare);
    (db, cryptor().with_policies(&policies), policies)
}

/// A job's cryptor: its policies are its own.
fn sealing(cryptor: &Cryptor) -> Cryptor {
    let policies = FieldPolicies::new();
    policies.set_model("patient", AcceptAndSeal);
    cryptor.with_policies(&policies)
}

fn patients(db: &TestDatabase, cryptor: &Cryptor) -> SqlTable<Patient, Db> {
    SqlTable::new(&db.pool, cryptor)
}

fn job(table: &SqlTable<Patient, Db>) -> Adoption<'_, Patient, Db> {
    shadows().iter().fold(Adoption::of(table), Adoption::shadow)
}

type Texts = (Option<String>, Option<String>, Option<String>);

/// What an older program reads.
async fn plain(db: &TestDatabase, id: i64) -> Texts {
    sqlx::query_as(in_dialect(
        "select email, trim(cast(birthday as char(40))), trim(cast(balance as char(40))) from patients where id = $1",
    ))
    .bind(id)
    .fetch_one(&db.pool)
    .await
    .unwrap()
}

/// What a program of this library reads.
async fn opened(table: &SqlTable<Patient, Db>, id: i64) -> Texts {
    let row = table.get(id).decrypt_pii().await.unwrap();
    let text = |value: &Option<EncryptedStr>| value.as_ref().map(|value| value.expose().unwrap().to_owned());
    let balance = row.balance.as_ref().map(|balance| balance.expose().unwrap().to_string());
    (text(&row.email), text(&row.birthday), balance)
}

/// The sealed columns as they are stored.
async fn stored(db: &TestDatabase, id: i64) -> Texts {
    sqlx::query_as(in_dialect(
        "select email_sealed, birthday_sealed, balance_sealed from patients where id = $1",
    ))
    .bind(id)
    .fetch_one(&db.pool)
    .await
    .unwrap()
}

/// Nothing tells that a value stays the same, outside the statement that does.
async fn assert_no_flags(db: &TestDatabase) {
    let flags: i64 = sqlx::query_scalar(
        "select count(*) from patients where email_sealed_same is not null or birthday_sealed_same is not null \
         or balance_sealed_same is not null",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!(flags, 0);
}

fn texts(email: &str, birthday: &str, balance: &str) -> Texts {
    (Some(email.into()), Some(birthday.into()), Some(balance.into()))
}

const NOTHING: Texts = (None, None, None);

#[tokio::test]
async fn both_programs_see_what_either_writes() {
    let (db, cryptor, _) = with_shadows().await;
    let table = patients(&db, &cryptor);
    // the older program
    sql(&db, "insert into patients (id, tenant, email, birthday, balance) values (1, 'acme', 'a@b.c', '1990-01-02', 1.5)")
        .await;
    assert_eq!(opened(&table, 1).await, texts("a@b.c", "1990-01-02", "1.5"));
    sql(&db, "update patients set email = 'A@b.c', birthday = '1991-01-02', balance = 2.5 where id = 1")
        .await;
    assert_eq!(opened(&table, 1).await, texts("A@b.c", "1991-01-02", "2.5"));
    sql(&db, "update patients set email = null, birthday = null, balance = null where id = 1").await;
    assert_eq!(opened(&table, 1).await, NOTHING);
    assert_eq!(plain(&db, 1).await, NOTHING);
    sql(&db, "insert into patients (id, tenant) values (3, 'acme')").await;
    assert_eq!(opened(&table, 3).await, NOTHING);

    // the new one, as long as it is prepared
    table.insert(&patient(2, "ada@example.com")).await.unwrap();
    assert_eq!(plain(&db, 2).await, texts("ada@example.com", "1815-12-10", "12.25"));
    let mut row = table.get(2).decrypt_pii().stored().await.unwrap();
    row.email = Some(EncryptedStr::new("new@example.com"));
    row.birthday = None;
    row.balance = Some(Encrypted::json(&0.75).unwrap());
    assert_eq!(table.swap(&row).await.unwrap(), Swap::Swapped);
    let now = (Some("new@example.com".to_owned()), None, Some("0.75".to_owned()));
    assert_eq!(plain(&db, 2).await, now);
    assert_eq!(opened(&table, 2).await, now);
    let mut row = table.get(2).decrypt_pii().await.unwrap();
    row.birthday = Some(EncryptedStr::new("1816-12-10"));
    table.update(&row).await.unwrap();
    assert_eq!(plain(&db, 2).await.1.unwrap(), "1816-12-10");
    table.upsert(&patient(2, "back@example.com")).await.unwrap();
    assert_eq!(plain(&db, 2).await, texts("back@example.com", "1815-12-10", "12.25"));
    assert_no_flags(&db).await;
}

#[tokio::test]
async fn a_sealed_value_is_taken_from_a_job_alone() {
    let (db, cryptor, policies) = with_shadows().await;
    let table = patients(&db, &cryptor);
    table.insert(&patient(1, "ada@example.com")).await.unwrap();
    let plaintext = stored(&db, 1).await;

    // a program that seals too early: nothing is written
    policies.set_model("patient", AcceptAndSeal);
    let row = table.get(1).await.unwrap();
    let update = table.update(&row).await.unwrap_err();
    let insert = table.insert(&patient(2, "early@example.com")).await.unwrap_err();
    let swap = table.swap(&table.get(1).stored().await.unwrap()).await.unwrap_err();
    let job_without = Adoption::of(&table).seal().await.unwrap_err();
    for error in [update, insert, swap, job_without] {
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::Database, Some("patient")));
        assert!(!format!("{error}").contains("example.com"), "{error}");
        let below = pii::sqlx_error(&error).unwrap().to_string();
        assert!(below.contains("pii: a sealed value cannot be written while other programs"), "{below}");
    }
    assert_eq!(stored(&db, 1).await, plaintext);
    let rows: i64 = sqlx::query_scalar("select count(*) from patients").fetch_one(&db.pool).await.unwrap();
    assert_eq!(rows, 1);

    // a job that knows of the columns
    policies.set_model("patient", Prepare);
    let report = job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap();
    assert!(report.is_done() && report.rows_written == 1, "{report}");
    let sealed = stored(&db, 1).await;
    for text in [&sealed.0, &sealed.1, &sealed.2] {
        assert_sealed_text(text.as_deref().unwrap());
    }
    assert_eq!(plain(&db, 1).await, texts("ada@example.com", "1815-12-10", "12.25"));
    assert_eq!(opened(&table, 1).await, texts("ada@example.com", "1815-12-10", "12.25"));
    assert_no_flags(&db).await;

    // what is sealed and did not change is written back as it is
    let row = table.get(1).await.unwrap();
    table.update(&row).await.unwrap();
    assert_eq!(stored(&db, 1).await, sealed);
    // a program that loaded it before someone else changed it does not undo that
    sql(&db, "update patients set birthday = '2000-01-01'").await;
    assert_eq!(table.update(&row).await.unwrap_err().kind(), ErrorKind::Database);
    job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap();
    assert_eq!(table.update(&row).await.unwrap_err().kind(), ErrorKind::Database);
    assert_eq!(opened(&table, 1).await.1.unwrap(), "2000-01-01");
    assert_eq!(plain(&db, 1).await.1.unwrap(), "2000-01-01");
    let again = table.get(1).await.unwrap();
    table.update(&again).await.unwrap();
    // a flag that someone set by hand is worth nothing the second time
    sql(&db, "update patients set birthday_sealed_same = 1").await;
    assert_no_flags(&db).await;
}

/// The plain column's type decides what a value may be.
#[tokio::test]
async fn a_change_of_the_plain_column_makes_the_sealed_one_plaintext_again() {
    let (db, cryptor, _) = with_shadows().await;
    let table = patients(&db, &cryptor);
    table.insert(&patient(1, "ada@example.com")).await.unwrap();
    job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap();
    let sealed = stored(&db, 1).await;
    // the same value again is no change
    sql(&db, "update patients set email = 'ada@example.com', birthday = '1815-12-10', balance = 12.25").await;
    assert_eq!(stored(&db, 1).await, sealed);
    sql(&db, "update patients set email = 'ADA@example.com'").await;
    let now = stored(&db, 1).await;
    assert_eq!(now.0.unwrap(), "ADA@example.com");
    assert_eq!((now.1, now.2), (sealed.1, sealed.2));
    let report = job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap();
    assert_eq!((report.rows_read, report.rows_written), (1, 1));
    assert_eq!(opened(&table, 1).await, texts("ADA@example.com", "1815-12-10", "12.25"));
}

/// The database's own messages quote what can't be converted.
#[tokio::test]
async fn a_value_that_the_plain_column_cannot_hold_is_refused_and_not_shown() {
    let (db, cryptor, _) = with_shadows().await;
    let table = patients(&db, &cryptor);
    table.insert(&patient(1, "ada@example.com")).await.unwrap();
    let mut unfit = patient(2, "ada@example.com");
    unfit.birthday = Some(EncryptedStr::new("canary-date"));
    let inserted = table.insert(&unfit).await;
    let mut row = table.get(1).stored().await.unwrap();
    row.birthday = Some(EncryptedStr::new("canary-date"));
    let swapped = table.swap(&row).await;
    if Db::NAME == "SQLite" {
        // there a column holds whatever is written to it
        assert_eq!((inserted.is_ok(), swapped.unwrap()), (true, Swap::Swapped));
        assert_eq!(plain(&db, 2).await.1.unwrap(), "canary-date");
        return;
    }
    let errors = Errors::default();
    for error in [inserted.unwrap_err(), swapped.map(drop).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Database);
        let below = pii::sqlx_error(&error).unwrap().to_string();
        assert!(below.contains("the plain column cannot hold the value"), "{below}");
        errors.add(&error);
    }
    for printed in errors.printed() {
        assert!(!printed.contains("canary"), "{printed}");
    }
    assert_eq!(plain(&db, 1).await.1.unwrap(), "1815-12-10");
    assert_eq!(opened(&table, 1).await.1.unwrap(), "1815-12-10");
}

/// From the first statement to the last one, with a way back in between.
#[tokio::test]
async fn a_table_goes_the_whole_way_and_back_once() {
    // SQLite: another connection may not know yet what this one has done to the columns
    let db = TestDatabase::new(1, &[PATIENTS]).await;
    for id in 0..50 {
        let insert = "insert into patients values ($1, 'acme', $2, '1990-01-02', 1.25)";
        sqlx::query(in_dialect(insert))
            .bind(id)
            .bind(format!("p{id}@old.example"))
            .execute(&db.pool)
            .await
            .unwrap();
    }
    sql(&db, "update patients set birthday = null where id = 7").await;
    // 1. columns and triggers, before any new program
    run_all(&db, ShadowColumn::add).await;
    sql(&db, "update patients set balance = 9.75 where id = 3; delete from patients where id = 49").await;
    let mut filled_rows = Vec::new();
    for shadow in shadows() {
        let mut filled = 0_u64;
        loop {
            match shadow.fill(&db.pool, 20).await.unwrap() {
                0 => break,
                rows => filled += rows,
            }
        }
        filled_rows.push(filled);
    }
    // the row without a birthday has nothing to be filled with, and one was filled by its trigger
    assert_eq!(filled_rows, [49, 48, 48]);
    assert_no_flags(&db).await;
    // 2. the new program, prepared
    let policies = FieldPolicies::new();
    policies.set_model("patient", Prepare);
    let cryptor = cryptor().with_policies(&policies);
    let table = patients(&db, &cryptor);
    assert_eq!(opened(&table, 3).await, texts("p3@old.example", "1990-01-02", "9.75"));
    assert_eq!(opened(&table, 7).await.1, None);
    // 3. sealed, with both programs at work
    assert!(job(&patients(&db, &sealing(&cryptor))).chunk_rows(8).seal().await.unwrap().is_done());
    sql(&db, "update patients set email = 'changed@old.example' where id = 5").await;
    table.insert(&patient(100, "new@example.com")).await.unwrap();
    assert!(job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap().is_done());
    assert!(Adoption::of(&table).verify().await.unwrap().is_all_sealed());

    // back, as if nothing had been
    run_all(&db, ShadowColumn::remove).await;
    assert_eq!(plain(&db, 5).await, texts("changed@old.example", "1990-01-02", "1.25"));
    assert_eq!(plain(&db, 100).await, texts("new@example.com", "1815-12-10", "12.25"));
    let columns = sqlx::query("select * from patients where id = 5")
        .persistent(false)
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(sqlx::Row::len(&columns), 5);

    // and once more, further
    run_all(&db, ShadowColumn::add).await;
    for shadow in shadows() {
        while shadow.fill(&db.pool, 100).await.unwrap() > 0 {}
    }
    assert!(job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap().is_done());
    // 4. the older programs are gone
    run_all(&db, ShadowColumn::retire).await;
    assert!(sqlx::query("update patients set email = 'too late'").execute(&db.pool).await.is_err());
    policies.set_model("patient", AcceptAndSeal);
    table.insert(&patient(101, "later@example.com")).await.unwrap();
    let mut row = table.get(5).decrypt_pii().await.unwrap();
    row.birthday = Some(EncryptedStr::new("1999-09-09"));
    table.update(&row).await.unwrap();

    // back from there too: what was written meanwhile is in the plain columns
    policies.set_model("patient", Prepare);
    run_all(&db, ShadowColumn::restore).await;
    let report = Adoption::of(&table).roll_back().await.unwrap();
    assert!(report.is_done(), "{report}: {:?}", report.failures);
    assert_eq!(plain(&db, 5).await, texts("changed@old.example", "1999-09-09", "1.25"));
    assert_eq!(plain(&db, 101).await, texts("later@example.com", "1815-12-10", "12.25"));
    assert_eq!(plain(&db, 100).await, texts("new@example.com", "1815-12-10", "12.25"));
    sql(&db, "update patients set email = 'again@old.example' where id = 101").await;
    assert_eq!(opened(&table, 101).await.0.unwrap(), "again@old.example");

    // forward to the end
    assert!(job(&patients(&db, &sealing(&cryptor))).seal().await.unwrap().is_done());
    run_all(&db, ShadowColumn::retire).await;
    policies.set_model("patient", AcceptAndSeal);
    assert!(Adoption::of(&table).seal().await.unwrap().is_done());
    policies.set_model("patient", Reject);
    assert!(Adoption::of(&table).verify().await.unwrap().is_all_sealed());
    run_all(&db, ShadowColumn::finish).await;
    let columns = sqlx::query("select * from patients where id = 5")
        .persistent(false)
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(sqlx::Row::len(&columns), 5, "id, tenant and the three sealed ones");
    assert_eq!(opened(&table, 101).await, texts("again@old.example", "1815-12-10", "12.25"));
    assert_eq!(opened(&table, 7).await.1, None);
    assert_eq!(table.list().await.unwrap().len(), 51);
}

/// One waits for the rows that the other one fills: it is not done then.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_can_fill_a_column_at_once() {
    let db = TestDatabase::new(4, &[PATIENTS]).await;
    for id in 0..300 {
        sqlx::query(in_dialect(
            "insert into patients (id, tenant, birthday) values ($1, 'acme', '1990-01-02')",
        ))
        .bind(id)
        .execute(&db.pool)
        .await
        .unwrap();
    }
    let shadow = ShadowColumn::<Db>::of::<Patient>("birthday").unwrap();
    run(&db, shadow.add()).await;
    let left = "select count(*) from patients where birthday_sealed is null";
    let fillers: Vec<_> = (0..3)
        .map(|_| {
            let (pool, shadow) = (db.pool.clone(), shadow.clone());
            tokio::spawn(async move {
                let mut all = 0;
                loop {
                    match shadow.fill(&pool, 10).await.unwrap() {
                        0 => break,
                        rows => all += rows,
                    }
                }
                (all, sqlx::query_scalar::<_, i64>(left).fetch_one(&pool).await.unwrap())
            })
        })
        .collect();
    let mut all = 0;
    for filler in fillers {
        let (filled, left) = filler.await.unwrap();
        assert_eq!(left, 0, "it said that it was done");
        all += filled;
    }
    assert_eq!(all, 300, "each row is filled once");
}

/// An older program, and one of this library that is prepared, write to the same rows while the job seals.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn with_all_of_them_at_work_both_columns_agree() {
    const ROWS: i64 = 90;
    let (db, cryptor, _) = with_shadows().await;
    let table = patients(&db, &cryptor);
    table
        .insert_many(&(0..ROWS).map(|id| patient(id, "first@example.com")).collect::<Vec<_>>())
        .await
        .unwrap();
    let (db, is_over) = (Arc::new(db), Arc::new(AtomicBool::new(false)));
    let newest: Arc<Mutex<BTreeMap<i64, Vec<String>>>> = Arc::default();
    // what each of the two has written
    let written: Arc<[AtomicU64; 2]> = Arc::default();
    let older = {
        let (db, is_over, newest) = (Arc::clone(&db), Arc::clone(&is_over), Arc::clone(&newest));
        let written = Arc::clone(&written);
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (id, email) = (count * 7 % ROWS, format!("old-{count}@x.y"));
                // before, so that whatever is found in the end is known
                newest.lock().unwrap().entry(id).or_default().push(email.clone());
                let update = "update patients set email = $1 where id = $2";
                sqlx::query(in_dialect(update)).bind(&email).bind(id).execute(&db.pool).await.unwrap();
                count += 1;
                written[0].fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
        })
    };
    let newer = {
        let written = Arc::clone(&written);
        let (is_over, newest, table) = (Arc::clone(&is_over), Arc::clone(&newest), patients(&db, &cryptor));
        tokio::spawn(async move {
            let mut count = 0;
            while !is_over.load(Ordering::Relaxed) {
                let (id, email) = (count * 11 % ROWS, format!("new-{count}@x.y"));
                let mut row = table.get(id).decrypt_pii().stored().await.unwrap();
                row.email = Some(EncryptedStr::new(email.as_str()));
                newest.lock().unwrap().entry(id).or_default().push(email);
                if table.swap(&row).await.unwrap() == Swap::Swapped {
                    written[1].fetch_add(1, Ordering::Relaxed);
                }
                count += 1;
            }
        })
    };
    let sealing = patients(&db, &sealing(&cryptor));
    let begun = Instant::now();
    while written.iter().any(|count| count.load(Ordering::Relaxed) < 100) {
        let report = job(&sealing).chunk_rows(30).attempts(20).seal().await.unwrap();
        assert!(report.is_complete && report.failed == 0, "{report}: {:?}", report.failures);
        assert!(begun.elapsed() < Duration::from_secs(60), "the programs don't come to write: {written:?}");
    }
    is_over.store(true, Ordering::Relaxed);
    older.await.unwrap();
    newer.await.unwrap();
    assert!(job(&sealing).seal().await.unwrap().is_done());
    assert!(Adoption::of(&table).verify().await.unwrap().is_all_sealed());
    let newest = newest.lock().unwrap().clone();
    for id in 0..ROWS {
        let (plain, opened) = (plain(&db, id).await, opened(&table, id).await);
        assert_eq!(plain, opened, "row {id}");
        let email = plain.0.unwrap();
        // which of the two programs came last is not known to either
        let known = newest.get(&id).is_none_or(|all| all.contains(&email));
        assert!(known || email == "first@example.com", "row {id}: {email}");
    }
    assert_no_flags(&db).await;
}

#[tokio::test]
async fn a_table_in_a_schema_has_its_triggers_there() {
    // SQLite: another connection may not know yet of the columns that this one has renamed
    let db = TestDatabase::new(1, &[PATIENTS]).await;
    let name = db.qualified("patients");
    let shadow = ShadowColumn::<Db>::of::<Patient>("birthday").unwrap().in_table(&name);
    shadow.check().unwrap();
    sql(&db, "insert into patients (id, tenant, birthday) values (1, 'acme', '1990-01-02')").await;
    run(&db, shadow.add()).await;
    assert_eq!(shadow.fill(&db.pool, 10).await.unwrap(), 1);
    sql(&db, "insert into patients (id, tenant, birthday) values (2, 'acme', '1990-01-02')").await;
    sql(&db, "update patients set birthday_sealed = '2000-01-01'").await;
    assert_eq!(plain(&db, 1).await.1.unwrap(), "2000-01-01");
    assert_eq!(plain(&db, 2).await.1.unwrap(), "2000-01-01");
    run(&db, shadow.retire()).await;
    run(&db, shadow.restore()).await;
    run(&db, shadow.remove()).await;
    assert_eq!(plain(&db, 2).await.1.unwrap(), "2000-01-01");
}

#[test]
fn what_can_have_no_shadow_column_is_refused() {
    #[derive(PiiModel)]
    #[pii(name = "thing", from_row)]
    struct Homeless {
        #[pii(id)]
        id: i64,
        email: EncryptedStr,
    }
    #[derive(PiiModel)]
    #[pii(name = "thing", table = "things", from_row)]
    struct Thing {
        #[pii(id)]
        id: i64,
        email: EncryptedStr,
        tags: Vec<EncryptedStr>,
    }
    let kinds = [
        ShadowColumn::<Db>::of::<Homeless>("email").unwrap_err().kind(),
        ShadowColumn::<Db>::of::<Thing>("nothing").unwrap_err().kind(),
        ShadowColumn::<Db>::of::<Thing>("tags").unwrap_err().kind(),
        ShadowColumn::<Db>::of::<Thing>("id").unwrap_err().kind(),
        // plain and sealed column are the same
        ShadowColumn::<Db>::of::<Thing>("email").unwrap().check().unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::Configuration; 5]);
    let shadow = ShadowColumn::<Db>::of::<Thing>("email").unwrap().replacing("plain_email");
    shadow.check().unwrap();
    assert!(shadow.clone().replacing(&"x".repeat(60)).check().is_err());
    assert!(shadow.in_table("a..b").check().is_err());
}

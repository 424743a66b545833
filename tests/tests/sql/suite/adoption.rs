//! A job that seals the plaintext of a live table, and the way back.

use std::{
    collections::BTreeMap,
    future::{IntoFuture as _, poll_fn},
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use pii::{
    Adoption, Cryptor, EncryptedStr, ErrorKind, FieldPolicies,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    SqlTable, ctx,
    testing::assert_no_plaintext,
};
use sqlx::{AssertSqlSafe, Database as _, pool::PoolOptions};

use super::{
    super::{Db, in_dialect},
    TestDatabase, customers, database, sql, stored,
};
use crate::{
    models::{Customer, CustomerBySqlx, EMAIL, MEMBERS, Member, PEOPLE, Person, SSN},
    support::{cryptor, is_send},
};

/// What the job says, unless it has been polled this often before it is done; then it is dropped.
async fn polled<T>(times: usize, job: impl Future<Output = T>) -> Option<T> {
    let (mut job, mut polls) = (Box::pin(job), 0);
    poll_fn(|context| {
        if polls == times {
            return Poll::Ready(None);
        }
        polls += 1;
        job.as_mut().poll(context).map(Some)
    })
    .await
}

/// A table of plaintext, and a cryptor under policies.
async fn plaintext(rows: i64) -> (TestDatabase, Cryptor, FieldPolicies) {
    let db = database().await;
    for id in 0..rows {
        old_insert(&db, id, &email(id)).await;
    }
    let policies = FieldPolicies::new();
    (db, cryptor().with_policies(&policies), policies)
}

fn email(id: i64) -> String {
    format!("canary-{id}@old.example")
}

/// As a program writes that knows nothing of sealing. Every third row has no number.
async fn old_insert(db: &TestDatabase, id: i64, email: &str) {
    sqlx::query(in_dialect("insert into customers values ($1, $2, 'London', $3, $4)"))
        .bind(id)
        .bind(if id % 2 == 0 { "acme" } else { "zeta" })
        .bind(email)
        .bind((id % 3 > 0).then_some("900-12-canary"))
        .execute(&db.pool)
        .await
        .unwrap();
}

async fn all_texts(db: &TestDatabase) -> String {
    let rows: Vec<(String, Option<String>)> =
        sqlx::query_as("select email, ssn from customers").fetch_all(&db.pool).await.unwrap();
    format!("{rows:?}")
}

/// The opened e-mail addresses.
async fn emails(table: &SqlTable<Customer, Db>) -> BTreeMap<i64, String> {
    let rows = table.list().decrypt_pii().await.unwrap();
    rows.into_iter().map(|row| (row.id, row.email.expose().unwrap().to_owned())).collect()
}

#[tokio::test]
async fn what_is_plaintext_is_sealed_and_what_is_sealed_stays_so() {
    let (db, cryptor, policies) = plaintext(0).await;
    let table = customers(&db, &cryptor);
    table.insert(&Customer::new(500)).await.unwrap();
    let already = stored(&db, 500).await;
    for id in 0..25 {
        old_insert(&db, id, &email(id)).await;
    }
    let before = Adoption::of(&table).verify().await.unwrap();
    assert_eq!((before.rows, before.fields["email"].plaintext, before.fields["email"].sealed), (26, 25, 1));
    assert_eq!((before.fields["ssn"].plaintext, before.fields["ssn"].total()), (16, 17));
    assert!(!before.is_all_sealed() && !before.is_all_plaintext());

    policies.set_model("customer", AcceptAndSeal);
    let mut seen = Vec::new();
    let report = is_send(
        Adoption::of(&table)
            .chunk_rows(10)
            .on_chunk(|report| {
                seen.push(report.rows_written);
                ControlFlow::Continue(())
            })
            .seal(),
    )
    .await
    .unwrap();
    assert!(report.is_done(), "{report}");
    assert_eq!((report.rows_read, report.rows_written, report.retries), (25, 25, 0));
    assert_eq!(seen, [10, 20, 25]);
    policies.set_model("customer", Reject);
    assert_eq!(stored(&db, 500).await, already, "what was sealed was not written");
    assert_no_plaintext(all_texts(&db).await, &["canary", "old.example"]);
    let opened = emails(&table).await;
    assert!((0..25).all(|id| opened[&id] == email(id)));
    let counts = Adoption::of(&table).chunk_rows(26).verify().await.unwrap();
    assert!(counts.is_all_sealed() && counts.rows == 26, "{counts}");
    assert_eq!(counts.to_string(), "26 rows; email: 0 plaintext, 26 sealed; ssn: 0 plaintext, 17 sealed");

    // once more: nothing to do
    policies.set_model("customer", AcceptAndSeal);
    let texts = all_texts(&db).await;
    let report = Adoption::of(&table).seal().await.unwrap();
    assert_eq!((report.rows_read, report.rows_written), (0, 0));
    assert_eq!(all_texts(&db).await, texts);
}

#[tokio::test]
async fn the_policies_say_what_a_job_may_do() {
    let (db, cryptor, policies) = plaintext(3).await;
    let table = customers(&db, &cryptor);
    let before = all_texts(&db).await;
    for policy in [Reject, Prepare] {
        policies.set_model("customer", policy);
        let error = Adoption::of(&table).seal().await.unwrap_err();
        assert_eq!((error.kind(), error.model_name()), (ErrorKind::Configuration, Some("customer")));
        assert!(error.to_string().contains("`accept_and_seal`"), "{error}");
    }
    for policy in [Reject, AcceptAndSeal] {
        policies.set_model("customer", policy);
        assert_eq!(Adoption::of(&table).roll_back().await.unwrap_err().kind(), ErrorKind::Configuration);
    }
    assert_eq!(all_texts(&db).await, before);

    // other plaintext in a row that no policy accepts: such a row is told, and stays
    policies.set_model("customer", Reject);
    policies.set("customer", "email", AcceptAndSeal);
    let report = Adoption::of(&table).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed), (1, 2));
    assert!(report.failures.iter().all(|error| error.kind() == ErrorKind::NotEncrypted));

    // one field alone
    policies.set("customer", "ssn", Prepare);
    let report = Adoption::of(&table).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed), (2, 0));
    let counts = Adoption::of(&table).verify().await.unwrap();
    assert_eq!((counts.fields["email"].sealed, counts.fields["ssn"].plaintext), (3, 2));
}

#[tokio::test]
async fn a_job_that_was_stopped_goes_on_where_it_was() {
    let (db, cryptor, policies) = plaintext(40).await;
    policies.set_model("customer", AcceptAndSeal);
    let table = customers(&db, &cryptor);
    let report =
        Adoption::of(&table).chunk_rows(7).on_chunk(|_| ControlFlow::Break(())).seal().await.unwrap();
    assert!(!report.is_complete && !report.is_done());
    assert_eq!(report.rows_written, 7);
    assert!(report.to_string().ends_with("not at the end yet"), "{report}");
    // mixed as the table is, both forms are read
    assert_eq!(emails(&table).await.len(), 40);
    let report = Adoption::of(&table).chunk_rows(7).after(35).seal().await.unwrap();
    assert_eq!((report.rows_read, report.rows_written), (4, 4));
    let report = Adoption::of(&table).chunk_rows(7).seal().await.unwrap();
    assert_eq!((report.rows_read, report.rows_written), (29, 29));
    assert!(report.is_done());
    policies.set_model("customer", Reject);
    let opened = emails(&table).await;
    assert!((0..40).all(|id| opened[&id] == email(id)));
}

/// Given up after any number of polls, as a process that is killed: nothing is lost, and the next run ends it.
#[tokio::test]
async fn a_job_that_was_given_up_anywhere_is_ended_by_the_next_one() {
    let (db, cryptor, policies) = plaintext(60).await;
    policies.set_model("customer", AcceptAndSeal);
    let table = customers(&db, &cryptor);
    let mut runs = 0;
    loop {
        runs += 1;
        // with a connection of its own, which ends with it
        let options = PoolOptions::<Db>::new().max_connections(1);
        let pool = options.connect_with((*db.pool.connect_options()).clone()).await.unwrap();
        let its_table = SqlTable::<Customer, Db>::new(&pool, &cryptor);
        let job = Adoption::of(&its_table).chunk_rows(4).seal();
        // later runs get further, so that one of them comes to its end
        let done = polled(runs % (23 + runs / 20), job).await;
        let opened = emails(&table).await;
        assert!((0..60).all(|id| opened[&id] == email(id)), "after {runs} runs");
        if done.is_some_and(|report| report.unwrap().is_done()) {
            break;
        }
        assert!(runs < 2000, "it never ends");
    }
    assert!(runs > 3, "it was never given up");
    assert!(Adoption::of(&table).verify().await.unwrap().is_all_sealed());
}

#[tokio::test]
async fn the_way_back_writes_plaintext_where_the_policy_says_so() {
    let (db, cryptor, policies) = plaintext(30).await;
    let before = all_texts(&db).await;
    let table = customers(&db, &cryptor);
    policies.set_model("customer", AcceptAndSeal);
    Adoption::of(&table).seal().await.unwrap();
    assert_ne!(all_texts(&db).await, before);

    policies.set("customer", "email", Prepare);
    let report = Adoption::of(&table).chunk_rows(8).roll_back().await.unwrap();
    assert!(report.is_done() && report.rows_written == 30, "{report}");
    let counts = Adoption::of(&table).verify().await.unwrap();
    assert_eq!((counts.fields["email"].plaintext, counts.fields["ssn"].sealed), (30, 20));

    policies.set("customer", "ssn", Prepare);
    let report = Adoption::of(&table).roll_back().await.unwrap();
    assert!(report.is_done() && report.rows_written == 20, "{report}");
    assert!(Adoption::of(&table).verify().await.unwrap().is_all_plaintext());
    let after: Vec<(String, Option<String>)> =
        sqlx::query_as("select email, ssn from customers order by id").fetch_all(&db.pool).await.unwrap();
    for (id, (is, ssn)) in (0..).zip(after) {
        assert_eq!((is, ssn.as_deref()), (email(id), (id % 3 > 0).then_some(SSN)));
    }
    assert_eq!(Adoption::of(&table).roll_back().await.unwrap().rows_read, 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_moved_does_not_hold_up_the_others() {
    let (db, cryptor, policies) = plaintext(9).await;
    let table = customers(&db, &cryptor);
    policies.set_model("customer", AcceptAndSeal);
    sql(&db, "update customers set ssn = 'ENC:damaged-canary' where id = 4").await;
    let report = Adoption::of(&table).chunk_rows(3).seal().await.unwrap();
    assert!(report.is_complete && !report.is_done());
    assert_eq!((report.rows_written, report.failed, report.failures.len()), (8, 1, 1));
    let error = &report.failures[0];
    assert_eq!(
        (error.kind(), error.field_name(), error.row_id()),
        (ErrorKind::Malformed, Some("ssn"), Some("4"))
    );
    assert!(!format!("{error} {error:?} {report:?}").contains("canary"), "{error:?}");
    let counts = Adoption::of(&table).verify().await.unwrap();
    assert_eq!((counts.fields["email"].plaintext, counts.fields["ssn"].malformed), (1, 1));
    assert!(!counts.is_all_sealed());

    // the way back: one value was moved to another row, and does not open there
    sql(&db, "update customers set ssn = null where id = 4").await;
    sql(&db, "update customers set email = (select email from customers where id = 1) where id = 5").await;
    policies.set_model("customer", Prepare);
    let report = Adoption::of(&table).roll_back().await.unwrap();
    assert_eq!((report.failed, report.failures[0].kind()), (1, ErrorKind::Integrity));
    assert_eq!(report.failures[0].row_id(), Some("5"));
    assert_eq!(stored(&db, 1).await.0, email(1));
}

/// What does not fit the model is told by id, wherever in a chunk it stands.
#[tokio::test]
async fn a_row_that_cannot_be_read_does_not_hold_up_the_others() {
    let nullable =
        "create table customers (id bigint primary key, tenant text, city text, email text, ssn text)";
    let db = TestDatabase::new(2, &[nullable]).await;
    for id in 0..12 {
        old_insert(&db, id, &email(id)).await;
    }
    sql(&db, "update customers set city = null where id in (4, 8, 11)").await;
    sql(&db, "update customers set email = null where id = 5").await;
    let policies = FieldPolicies::new();
    let table = customers(&db, &cryptor().with_policies(&policies));
    let census = Adoption::of(&table).chunk_rows(3).verify().await.unwrap();
    assert_eq!((census.rows, census.fields["email"].plaintext, census.failed), (12, 8, 4), "{census}");
    assert!(!census.is_all_plaintext() && census.to_string().ends_with("; 4 rows can't be read"), "{census}");

    policies.set_model("customer", AcceptAndSeal);
    let report = Adoption::of(&table).chunk_rows(3).seal().await.unwrap();
    assert!(report.is_complete && !report.is_done());
    assert_eq!((report.rows_read, report.rows_written, report.failed), (12, 8, 4), "{report}");
    let failures = |failures: &[pii::Error]| -> Vec<_> {
        let place =
            |error: &pii::Error| (error.row_id().unwrap().to_owned(), error.field_name().unwrap().to_owned());
        failures.iter().map(place).collect()
    };
    let expected = [("4", "city"), ("5", "email"), ("8", "city"), ("11", "city")];
    let expected = expected.map(|(row, field)| (row.to_owned(), field.to_owned()));
    assert_eq!(failures(&report.failures), expected);
    assert!(!format!("{report:?} {:?}", report.failures).contains("canary"));
    assert!(stored(&db, 9).await.0.starts_with("ENC:"));

    // one by one, and then nothing is left
    let report = Adoption::of(&table).chunk_rows(1).seal().await.unwrap();
    assert_eq!((report.rows_written, failures(&report.failures)), (0, expected.to_vec()), "{report}");
    sql(&db, "update customers set city = 'London' where city is null").await;
    sql(&db, "update customers set email = 'canary-5@old.example' where id = 5").await;
    assert!(Adoption::of(&table).seal().await.unwrap().is_done());
    let census = Adoption::of(&table).verify().await.unwrap();
    assert!(census.is_all_sealed() && census.failures.is_empty() && census.rows == 12, "{census}");

    sql(&db, "update customers set city = null where id = 7").await;
    let census = Adoption::of(&table).verify().await.unwrap();
    assert!(!census.is_all_sealed() && census.failed == 1, "{census}");
    policies.set_model("customer", Prepare);
    let report = Adoption::of(&table).chunk_rows(8).roll_back().await.unwrap();
    assert_eq!((report.rows_written, failures(&report.failures)), (11, vec![("7".into(), "city".into())]));
}

/// A model that other code reads from rows does not tell the id alone.
#[tokio::test]
async fn without_its_id_a_row_that_cannot_be_read_stops_the_job_where_it_can_not_go_on() {
    let nullable =
        "create table customers (id bigint primary key, tenant text, city text, email text, ssn text)";
    let db = TestDatabase::new(2, &[nullable]).await;
    for id in 0..9 {
        old_insert(&db, id, &email(id)).await;
    }
    // SQLite's driver takes NULL for an empty text
    let value = if Db::NAME == "SQLite" { "x'00'" } else { "null" };
    let update = format!("update customers set city = {value} where id = 4");
    sqlx::raw_sql(AssertSqlSafe(update)).execute(&db.pool).await.unwrap();
    let policies = FieldPolicies::new();
    policies.set_model("customer", AcceptAndSeal);
    let table = SqlTable::<CustomerBySqlx, Db>::new(&db.pool, &cryptor().with_policies(&policies));
    let error = Adoption::of(&table).chunk_rows(5).seal().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("town")));
    assert!(error.to_string().contains("from_row"), "{error}");
    assert!(stored(&db, 3).await.0.starts_with("ENC:"), "what was read was written");
    let report = Adoption::of(&table).chunk_rows(9).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed, report.failures[0].row_id()), (4, 1, None), "{report}");
}

#[tokio::test]
async fn plaintext_that_is_too_long_to_be_sealed_is_told() {
    // MySQL's `text` ends before that
    let text = if Db::NAME == "MySQL" { "mediumtext" } else { "text" };
    let db = TestDatabase::new(2, &[]).await;
    let ddl = format!(
        "create table customers (id bigint primary key, tenant text not null, city text not null, \
         email {text} not null, ssn text)"
    );
    sqlx::raw_sql(AssertSqlSafe(ddl)).execute(&db.pool).await.unwrap();
    for id in 0..9 {
        let email = if id == 3 { "x".repeat((1 << 20) + 1) } else { email(id) };
        old_insert(&db, id, &email).await;
    }
    let policies = FieldPolicies::new();
    policies.set_model("customer", AcceptAndSeal);
    let table = customers(&db, &cryptor().with_policies(&policies));
    let report = Adoption::of(&table).seal().await.unwrap();
    assert_eq!((report.rows_written, report.failed), (8, 1), "{report}");
    assert_eq!((report.failures[0].kind(), report.failures[0].row_id()), (ErrorKind::TooLarge, Some("3")));
    assert!(report.is_complete && stored(&db, 8).await.0.starts_with("ENC:"));
}

#[tokio::test]
async fn a_scoped_job_moves_its_own_rows_alone() {
    let (db, cryptor, policies) = plaintext(10).await;
    policies.set_model("customer", AcceptAndSeal);
    let table = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
    let report = Adoption::of(&table).chunk_rows(2).seal().await.unwrap();
    assert!(report.is_done() && report.rows_written == 5, "{report}");
    assert_eq!(Adoption::of(&table).verify().await.unwrap().rows, 5);
    assert_eq!(stored(&db, 1).await.0, email(1));
    let all = Adoption::of(&customers(&db, &cryptor)).verify().await.unwrap();
    assert_eq!((all.rows, all.fields["email"].plaintext), (10, 5));
}

#[tokio::test]
async fn ids_of_several_columns_are_walked_through_in_order() {
    let db = TestDatabase::new(2, &[MEMBERS]).await;
    for (team, number) in [("b", 1), ("a", 2), ("a", 10), ("c", 0), ("a", 1)] {
        sqlx::query(in_dialect("insert into members values ($1, $2, $3)"))
            .bind(team)
            .bind(number)
            .bind(format!("{team}{number}"))
            .execute(&db.pool)
            .await
            .unwrap();
    }
    let policies = FieldPolicies::new();
    policies.set_model("member", AcceptAndSeal);
    let table = SqlTable::<Member, Db>::new(&db.pool, &cryptor().with_policies(&policies));
    let report = Adoption::of(&table).after(("a".to_owned(), 2)).chunk_rows(1).seal().await.unwrap();
    assert_eq!(report.rows_written, 3);
    let left: Vec<String> =
        sqlx::query_scalar("select phone from members where phone not like 'ENC:%' order by number")
            .fetch_all(&db.pool)
            .await
            .unwrap();
    assert_eq!(left, ["a1", "a2"]);
    assert!(Adoption::of(&table).chunk_rows(1).seal().await.unwrap().is_done());
    let census = Adoption::of(&table).chunk_rows(2).verify().await.unwrap();
    assert!(census.is_all_sealed() && census.rows == 5, "{census}");
}

#[tokio::test]
async fn plaintext_in_json_is_sealed_too() {
    let db = TestDatabase::new(2, &[PEOPLE]).await;
    let json = "insert into people values (1, '[ \"+44 canary\" ]', null, '{}', \
                '{\"city\":\"London\",\"street\":\"1 Canary Wharf\",\"door\":null}', null, \
                '{\"born\":1815,\"languages\":[]}')";
    sql(&db, json).await;
    let policies = FieldPolicies::new();
    policies.set_model("person", AcceptAndSeal);
    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor().with_policies(&policies));
    assert_eq!(Adoption::of(&people).verify().await.unwrap().fields["home.street"].plaintext, 1);
    let report = Adoption::of(&people).seal().await.unwrap();
    assert!(report.is_done() && report.rows_written == 1, "{report}");
    let census = Adoption::of(&people).verify().await.unwrap();
    assert!(census.is_all_sealed() && census.fields["phones"].sealed == 1, "{census}");
    assert_eq!(Adoption::of(&people).seal().await.unwrap().rows_written, 0);
    let opened = people.get(1).decrypt_pii().await.unwrap();
    assert_eq!(opened.phones[0].expose().unwrap(), "+44 canary");
    assert_eq!(
        (opened.home.street.expose().unwrap(), opened.home.city.as_str()),
        ("1 Canary Wharf", "London")
    );
    assert_eq!(opened.profile.expose().unwrap().born, 1815);
}

/// Programs that know nothing of the job write, change and delete while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_write_meanwhile_is_not_lost() {
    const ROWS: i64 = 400;
    let (db, cryptor, policies) = plaintext(ROWS).await;
    policies.set_model("customer", AcceptAndSeal);
    let (db, is_over) = (Arc::new(db), Arc::new(AtomicBool::new(false)));
    let ledger: BTreeMap<i64, String> = (0..ROWS).map(|id| (id, email(id))).collect();
    let ledger = Arc::new(Mutex::new(ledger));
    let writers: Vec<_> = (0..3)
        .map(|writer: i64| {
            let (db, is_over, ledger) = (Arc::clone(&db), Arc::clone(&is_over), Arc::clone(&ledger));
            tokio::spawn(async move {
                let mut written = 0_i64;
                while !is_over.load(Ordering::Relaxed) {
                    // each has rows of its own, so that the ledger knows who was last
                    let id = (written * 37 % ROWS) / 3 * 3 + writer;
                    let now = format!("canary-{id}-{written}@old.example");
                    if written % 10 == 9 {
                        sqlx::query(in_dialect("delete from customers where id = $1"))
                            .bind(id)
                            .execute(&db.pool)
                            .await
                            .unwrap();
                        ledger.lock().unwrap().remove(&id);
                    } else {
                        let done = sqlx::query(in_dialect("update customers set email = $1 where id = $2"))
                            .bind(&now)
                            .bind(id)
                            .execute(&db.pool)
                            .await
                            .unwrap();
                        if done.rows_affected() == 0 {
                            old_insert(&db, id, &now).await;
                        }
                        ledger.lock().unwrap().insert(id, now);
                    }
                    written += 1;
                    tokio::time::sleep(Duration::from_micros(300)).await;
                }
                written
            })
        })
        .collect();
    let table = customers(&db, &cryptor);
    let mut retries = 0;
    for _ in 0..6 {
        let report = Adoption::of(&table).chunk_rows(100).attempts(20).seal().await.unwrap();
        assert!(report.is_complete && report.failed == 0, "{report}: {:?}", report.failures);
        retries += report.retries + report.gone;
    }
    is_over.store(true, Ordering::Relaxed);
    let mut written = 0;
    for writer in writers {
        written += writer.await.unwrap();
    }
    assert!(Adoption::of(&table).seal().await.unwrap().is_done());
    policies.set_model("customer", Reject);
    let ledger = ledger.lock().unwrap().clone();
    assert_eq!(emails(&table).await, ledger, "{written} written, {retries} met");
    assert_no_plaintext(all_texts(&db).await, &["canary", "old.example"]);
}

/// Two jobs at once, and programs of this library that save their own rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_jobs_and_programs_go_together() {
    let (db, cryptor, policies) = plaintext(120).await;
    policies.set_model("customer", AcceptAndSeal);
    let program = {
        let table = customers(&db, &cryptor);
        tokio::spawn(async move {
            for id in (0..120).step_by(4) {
                let mut row = table.get(id).decrypt_pii().await.unwrap();
                row.email.set(format!("new-{id}"));
                table.update(&row).into_future().await.unwrap();
            }
        })
    };
    let jobs: Vec<_> = (0..2)
        .map(|_| {
            let table = customers(&db, &cryptor);
            tokio::spawn(async move { Adoption::of(&table).chunk_rows(9).seal().await })
        })
        .collect();
    for job in jobs {
        let report = job.await.unwrap().unwrap();
        assert!(report.is_complete && report.failed == 0, "{report}: {:?}", report.failures);
    }
    program.await.unwrap();
    let table = customers(&db, &cryptor);
    assert!(Adoption::of(&table).seal().await.unwrap().is_done());
    policies.set_model("customer", Reject);
    for (id, is) in emails(&table).await {
        assert_eq!(is, if id % 4 == 0 { format!("new-{id}") } else { email(id) });
    }
}

#[tokio::test]
async fn a_job_does_not_count_up_versions() {
    let db = TestDatabase::new(2, &[crate::models::DOCUMENTS]).await;
    sql(&db, "insert into documents values (1, 'Will', 'canary', 7)").await;
    let policies = FieldPolicies::new();
    policies.set_model("document", AcceptAndSeal);
    let table = SqlTable::<crate::models::Document, Db>::new(&db.pool, &cryptor().with_policies(&policies));
    let mut loaded = table.get(1).await.unwrap();
    assert!(Adoption::of(&table).seal().await.unwrap().is_done());
    // whoever loaded the row before can save it
    loaded.body = EncryptedStr::new(EMAIL);
    table.update(&loaded).await.unwrap();
    assert_eq!(table.get(1).await.unwrap().revision, 8);
}

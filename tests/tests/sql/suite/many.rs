//! Many rows that are there already, or may be.

use pii::{EncryptedStr, ErrorKind, PiiModel, SqlTable, TestKeyring, ctx, testing::FailingKeyring};
use uuid::Uuid;

use super::{
    super::{Db, GENERATED, UUID},
    TestDatabase, count, customers, database, sql, stored,
};
use crate::{
    models::{
        Customer, DOCUMENTS, Document, EMAIL, MEMBERS, Member, Note, PEOPLE, Person, READINGS, Reading,
        Session,
    },
    support::{cryptor, with_keyring},
};

/// No chunk, one row, not a divisor, one that all rows fill, more than there are rows.
const CHUNKS: [usize; 5] = [0, 1, 7, 20, 10_000];

async fn documents() -> (TestDatabase, SqlTable<Document, Db>, Vec<Document>) {
    let db = TestDatabase::new(2, &[DOCUMENTS]).await;
    let table = SqlTable::new(&db.pool, &cryptor());
    let rows: Vec<_> = (0..20).map(Document::new).collect();
    table.insert_many(&rows).await.unwrap();
    (db, table, rows)
}

async fn revisions(db: &TestDatabase) -> Vec<i64> {
    sqlx::query_scalar("select revision from documents order by id").fetch_all(&db.pool).await.unwrap()
}

#[tokio::test]
async fn every_row_is_changed_to_its_own_values() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    let mut rows: Vec<_> = (0..20).map(Customer::new).collect();
    customers.insert_many(&rows).await.unwrap();
    for (round, chunk) in CHUNKS.into_iter().enumerate() {
        for row in &mut rows {
            row.city = format!("city {round} of {}", row.id);
            row.email.set(format!("{round}.{}@example.com", row.id));
            row.ssn = (row.id % 3 != 0).then(|| EncryptedStr::new(format!("{round}-{}", row.id)));
        }
        assert_eq!(customers.update_many(&rows).in_chunks_of(chunk).await.unwrap(), 20);
        let read = customers.list().decrypt_pii().await.unwrap();
        assert_eq!(read.len(), 20);
        for (read, row) in read.iter().zip(&rows) {
            assert_eq!((&read.city, &read.email, &read.ssn), (&row.city, &row.email, &row.ssn));
        }
    }
}

#[tokio::test]
async fn thousands_of_rows_are_updated_with_one_key_call() {
    let db = TestDatabase::new(2, &[READINGS]).await;
    let cryptor = cryptor();
    let readings = SqlTable::<Reading, Db>::new(&db.pool, &cryptor);
    let mut rows: Vec<_> = (0..3_000).map(Reading::new).collect();
    readings.insert_many(&rows).await.unwrap();
    for row in &mut rows {
        row.value.set(format!("new {}", row.id));
    }
    assert_eq!(readings.update_many(rows.iter().rev()).await.unwrap(), 3_000);
    assert_eq!(readings.upsert_many(&rows).await.unwrap(), 3_000);
    assert_eq!(cryptor.stats().keys_generated, 1);
    let read = readings.list().decrypt_pii().await.unwrap();
    assert!(read.len() == 3_000 && read.iter().zip(&rows).all(|(read, row)| read.value == row.value));
}

#[tokio::test]
async fn a_row_that_is_missing_is_named_and_nothing_is_written() {
    for chunk in CHUNKS {
        let (db, cryptor) = (database().await, cryptor());
        let customers = customers(&db, &cryptor);
        let mut rows: Vec<_> = (0..20).map(Customer::new).collect();
        customers.insert_many(&rows).await.unwrap();
        rows.iter_mut().for_each(|row| row.city = "Paris".into());
        rows[13].id = 99;
        let error = customers.update_many(&rows).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RowNotFound, "{error}");
        assert!(error.to_string().contains("99"), "{error}");
        let moved: i64 = sqlx::query_scalar("select count(*) from customers where city = 'Paris'")
            .fetch_one(&db.pool)
            .await
            .unwrap();
        assert_eq!(moved, 0);
        rows[13].id = 13;
        assert_eq!(customers.update_many(&rows).in_chunks_of(chunk).await.unwrap(), 20);
    }
}

#[tokio::test]
async fn versions_are_compared_and_counted_up() {
    let (db, table, mut rows) = documents().await;
    for (round, chunk) in (1..).zip(CHUNKS) {
        assert_eq!(table.update_many(&rows).in_chunks_of(chunk).await.unwrap(), 20);
        assert_eq!(revisions(&db).await, [round + 1; 20]);
        // in the row, not in the model
        assert_eq!(rows[0].revision, round);
        rows.iter_mut().for_each(|row| row.revision += 1);
    }
    table.upsert_many(&rows).await.unwrap();
    assert_eq!(revisions(&db).await, [7; 20]);
}

#[tokio::test]
async fn a_row_that_someone_else_changed_is_named_and_nothing_is_written() {
    for chunk in CHUNKS {
        let (db, table, mut rows) = documents().await;
        // as an update of ours would leave it
        sql(&db, "update documents set revision = revision + 1 where id = 13").await;
        rows.iter_mut().for_each(|row| row.title = "Deed".into());
        let error = table.update_many(&rows).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("row 13"), "{error}");
        let mut before = [1; 20];
        before[13] = 2;
        assert_eq!(revisions(&db).await, before);
        sql(&db, "delete from documents where id = 13").await;
        let error = table.update_many(&rows).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RowNotFound, "{error}");
        assert!(error.to_string().contains("row 13"), "{error}");
        rows.remove(13);
        table.update_many(&rows).in_chunks_of(chunk).await.unwrap();
        assert_eq!(revisions(&db).await, [2; 19]);
    }
}

#[tokio::test]
async fn a_transaction_goes_on_after_an_update_that_failed() {
    let (db, table, mut rows) = documents().await;
    sql(&db, "update documents set revision = 5 where id = 19").await;
    let mut tx = db.pool.begin().await.unwrap();
    table.insert(&Document::new(100)).on(&mut tx).await.unwrap();
    let error = table.update_many(&rows).in_chunks_of(6).on(&mut tx).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("row 19"), "{error}");
    rows.pop();
    table.update_many(&rows[..3]).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let mut expected = vec![1; 21];
    expected[..3].fill(2);
    expected[19] = 5;
    assert_eq!(revisions(&db).await, expected);
}

#[tokio::test]
async fn the_last_of_several_with_one_id_wins_unless_there_are_versions() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    let twice = |cities: [&str; 3]| {
        let mut rows = [Customer::new(1), Customer::new(2), Customer::new(1)];
        for (row, city) in rows.iter_mut().zip(cities) {
            row.city = city.into();
        }
        rows
    };
    for chunk in CHUNKS {
        let written = customers.upsert_many(&twice(["a", "b", "c"])).in_chunks_of(chunk).await.unwrap();
        assert_eq!((written, customers.get(1).await.unwrap().city.as_str()), (3, "c"));
        let written = customers.update_many(&twice(["d", "e", "f"])).in_chunks_of(chunk).await.unwrap();
        assert_eq!((written, customers.get(1).await.unwrap().city.as_str()), (3, "f"));
        let (db, table, rows) = documents().await;
        let twice = [&rows[1], &rows[2], &rows[1]];
        let error = table.update_many(twice).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("row 1"), "{error}");
        assert_eq!(revisions(&db).await, [1; 20]);
        table.upsert_many(twice).in_chunks_of(chunk).await.unwrap();
        assert_eq!(revisions(&db).await[..4], [1, 3, 2, 1]);
    }
}

#[tokio::test]
async fn values_that_were_loaded_are_written_back_without_a_key() {
    let db = database().await;
    let keyring = FailingKeyring::new(TestKeyring::new());
    let writer = with_keyring(keyring.clone());
    let rows: Vec<_> =
        (0..1_200).map(|id| Customer::of(id, ["acme", "zeta"][usize::from(id % 2 == 0)])).collect();
    customers(&db, &writer).insert_many(&rows).await.unwrap();
    let before = stored(&db, 700).await;
    keyring.fail_with(ErrorKind::KeyUnavailable);
    writer.evict_all();
    let customers = customers(&db, &writer);
    let mut loaded = customers.list().await.unwrap();
    loaded.iter_mut().for_each(|row| row.city = "Rome".into());
    assert_eq!(customers.update_many(&loaded).await.unwrap(), 1_200);
    assert_eq!(customers.upsert_many(&loaded).await.unwrap(), 1_200);
    assert_eq!(stored(&db, 700).await, before);
    assert_eq!(customers.get(700).await.unwrap().city, "Rome");
    // one new value needs the key of its tenant
    loaded[1_100].email.set("new@example.com");
    let error = customers.update_many(&loaded).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
    keyring.recover();
    writer.evict_all();
    let calls = writer.stats().keys_generated + writer.stats().keys_unwrapped;
    customers.update_many(&loaded).await.unwrap();
    assert_eq!(writer.stats().keys_generated + writer.stats().keys_unwrapped, calls + 1);
    assert_eq!(stored(&db, 700).await, before);
}

#[tokio::test]
async fn values_of_another_row_are_refused_before_anything_is_written() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    customers.insert_many(&[Customer::new(1), Customer::new(2)]).await.unwrap();
    let mut loaded = customers.list().await.unwrap();
    let (first, second) = loaded.split_at_mut(1);
    std::mem::swap(&mut first[0].email, &mut second[0].email);
    loaded[0].city = "Rome".into();
    for error in
        [customers.update_many(&loaded).await.unwrap_err(), customers.upsert_many(&loaded).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::WrongPlace);
    }
    assert_eq!(customers.get(1).await.unwrap().city, "London");
}

#[tokio::test]
async fn rows_of_another_tenant_stay_as_they_are() {
    for chunk in CHUNKS {
        let (db, cryptor) = (database().await, cryptor());
        let mut rows: Vec<_> = (0..20).map(Customer::new).collect();
        rows[13].tenant = "zeta".into();
        customers(&db, &cryptor).insert_many(&rows).await.unwrap();
        let acme = customers(&db, &cryptor.scoped(ctx!(tenant = "acme")));
        rows[13].tenant = "acme".into();
        rows.iter_mut().for_each(|row| row.city = "Paris".into());
        let error = acme.update_many(&rows).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::RowNotFound);
        assert!(error.to_string().contains("13") && error.to_string().contains("scope"), "{error}");
        let error = acme.upsert_many(&rows).in_chunks_of(chunk).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(error.to_string().contains("row 13"), "{error}");
        let unchanged: i64 =
            sqlx::query_scalar("select count(*) from customers where city = 'London' and email like 'ENC:%'")
                .fetch_one(&db.pool)
                .await
                .unwrap();
        assert_eq!(unchanged, 20);
        rows.remove(13);
        rows.push(Customer::new(50));
        assert_eq!(acme.upsert_many(&rows).in_chunks_of(chunk).await.unwrap(), 20);
        rows.pop();
        assert_eq!(acme.update_many(&rows).in_chunks_of(chunk).await.unwrap(), 19);
        assert_eq!(count(&db).await, 21);
    }
}

#[tokio::test]
async fn new_rows_and_old_ones_are_upserted_together() {
    let (db, cryptor) = (database().await, cryptor());
    let customers = customers(&db, &cryptor);
    for (round, chunk) in (0..).zip(CHUNKS) {
        let rows: Vec<_> = (round * 10..round * 10 + 20)
            .map(|id| Customer { city: format!("{round}"), ..Customer::new(id) })
            .collect();
        assert_eq!(customers.upsert_many(&rows).in_chunks_of(chunk).await.unwrap(), 20);
        let read = customers.list().decrypt_pii().await.unwrap();
        assert_eq!(i64::try_from(read.len()).unwrap(), round * 10 + 20);
        assert!(read.iter().all(|row| row.email.expose().unwrap() == EMAIL));
        assert_eq!(read.iter().filter(|row| row.city == format!("{round}")).count(), 20);
    }
}

#[tokio::test]
async fn ids_of_several_columns_and_collections_go_too() {
    let uuids = format!("create table sessions (id {UUID} primary key, address text not null)");
    let db = TestDatabase::new(2, &[MEMBERS, PEOPLE, uuids.leak()]).await;
    let cryptor = cryptor();

    let members = SqlTable::<Member, Db>::new(&db.pool, &cryptor);
    let member = |team: &str, number| Member { team: team.into(), number, phone: EncryptedStr::new(EMAIL) };
    let mut rows = vec![member("red", 1), member("red", 2), member("blue", 1)];
    members.upsert_many(&rows).await.unwrap();
    rows[2].phone.set("changed");
    assert_eq!(members.update_many(&rows).await.unwrap(), 3);
    let read = members.get(("blue".to_owned(), 1)).decrypt_pii().await.unwrap();
    assert_eq!(read.phone.expose().unwrap(), "changed");
    rows[1].number = 7;
    let error = members.update_many(&rows).await.unwrap_err();
    assert!(error.kind() == ErrorKind::RowNotFound && error.to_string().contains('7'), "{error}");

    let people = SqlTable::<Person, Db>::new(&db.pool, &cryptor);
    let mut rows: Vec<_> = (0..3).map(Person::new).collect();
    people.upsert_many(&rows).await.unwrap();
    rows[1].aliases = Some(vec![EncryptedStr::new("Countess")]);
    rows[1].home.city = "Paris".into();
    rows[2].phones.clear();
    assert_eq!(people.update_many(&rows).await.unwrap(), 3);
    let read = people.list().decrypt_pii().await.unwrap();
    assert_eq!(read[1].aliases.as_ref().unwrap()[0].expose().unwrap(), "Countess");
    assert_eq!((read[1].home.city.as_str(), read[2].phones.len()), ("Paris", 0));
    assert_eq!(read[0].home.street.expose().unwrap(), "1 Canary Wharf");

    let sessions = SqlTable::<Session, Db>::new(&db.pool, &cryptor);
    let mut rows: Vec<_> =
        (0..3).map(|id| Session { id: Uuid::from_u128(id), address: EncryptedStr::new(EMAIL) }).collect();
    sessions.insert_many(&rows).await.unwrap();
    rows[1].address.set("::1");
    assert_eq!(sessions.update_many(&rows).await.unwrap(), 3);
    let read = sessions.get(rows[1].id).decrypt_pii().await.unwrap();
    assert_eq!(read.address.expose().unwrap(), "::1");
}

#[tokio::test]
async fn an_id_that_is_not_known_cannot_be_updated() {
    let notes = format!("create table notes (id {GENERATED}, text text not null)");
    let db = TestDatabase::new(2, &[notes.leak()]).await;
    let notes = SqlTable::<Note, Db>::new(&db.pool, &cryptor());
    let rows = [Note::new(Some(7)), Note::new(None), Note::new(None), Note::new(Some(1_000))];
    assert_eq!(notes.upsert_many(&rows).await.unwrap(), 4);
    let error = notes.update_many(&rows).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("not known yet"), "{error}");
    let loaded = notes.list().await.unwrap();
    assert_eq!(loaded.len(), 4);
    assert_eq!(notes.update_many(&loaded).await.unwrap(), 4);
}

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", bind = "field")]
struct Bare {
    email: EncryptedStr,
}

#[tokio::test]
async fn models_without_an_id_cannot_be_updated() {
    let db = database().await;
    let table = SqlTable::<Bare, Db>::new(&db.pool, &cryptor());
    let rows = [Bare { email: EncryptedStr::new(EMAIL) }, Bare { email: EncryptedStr::new(EMAIL) }];
    for error in [table.update_many(&rows).await.unwrap_err(), table.upsert_many(&rows).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
}

#[tokio::test]
async fn no_rows_are_no_work_and_one_row_is_one() {
    let (db, cryptor) = (database().await, cryptor());
    let table = customers(&db, &cryptor);
    let one = [Customer::new(1)];
    assert_eq!(table.insert_many(&one).await.unwrap(), 1);
    assert_eq!(table.update_many(&one).await.unwrap(), 1);
    assert_eq!(table.upsert_many(&one).await.unwrap(), 1);
    assert_eq!(table.update_from(one.clone()).await.unwrap(), 1);
    assert_eq!(table.upsert_from(one.clone()).committing_each_chunk().await.unwrap(), 1);
    let error = table.update_many(&[Customer::new(2)]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::RowNotFound && error.to_string().contains('2'), "{error}");
    db.pool.close().await;
    let none: [Customer; 0] = [];
    assert_eq!(table.update_many(&none).await.unwrap(), 0);
    assert_eq!(table.upsert_many(&none).await.unwrap(), 0);
    assert_eq!(table.insert_from(none.clone()).await.unwrap(), 0);
    assert_eq!(table.insert_from(none).committing_each_chunk().await.unwrap(), 0);
}

//! Many rows in one UPDATE, where each value is found by a `CASE`.

use pii::{EncryptedStr, PiiModel, SqlTable};
use sqlx::{MySqlConnection, types::Json};
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time};

use uuid::Uuid;

use super::{Db, TestDatabase};
use crate::{
    models::{VISITS, Visit},
    support::cryptor,
};

#[derive(PiiModel, Clone)]
#[pii(name = "sample", table = "samples", from_row)]
struct Sample {
    #[pii(id)]
    id: i64,
    is_new: bool,
    tiny: Option<i8>,
    large: u64,
    single: f32,
    double: Option<f64>,
    text: String,
    bytes: Option<Vec<u8>>,
    day: Option<Date>,
    hour: Time,
    at: OffsetDateTime,
    then: Option<PrimitiveDateTime>,
    note: EncryptedStr,
}

const SAMPLES: &str = "create table samples (id bigint primary key, is_new bit(1) not null, tiny tinyint, \
    large bigint unsigned not null, single float not null, `double` double, text mediumtext not null, \
    bytes varbinary(400), day date, hour time(6) not null, at timestamp(6) not null, \
    `then` datetime(6), note mediumtext not null)";

impl Sample {
    /// Two samples of an id, by different seeds, have nothing else in common.
    fn new(id: i64, seed: u32) -> Self {
        let is_there = (i64::from(seed) + id) % 3 != 0;
        let small = u8::try_from(id % 100).unwrap();
        let micros = 1_700_000_000_123_456 + i128::from(id) * 1_000_001;
        let at = OffsetDateTime::from_unix_timestamp_nanos(micros * 1_000).unwrap();
        let at = at + Duration::days(i64::from(seed));
        Self {
            id,
            is_new: (id + i64::from(seed)) % 2 == 0,
            tiny: is_there.then_some(-50 + i8::try_from(small).unwrap()),
            large: u64::MAX - u64::from(seed) * 1_000 - u64::from(small),
            single: 1.1 / (f32::from(small) + 3.0) * seed as f32,
            double: is_there.then(|| 1e-7 / (f64::from(small) + 3.0) + f64::from(seed)),
            text: "ž".repeat(usize::from(small) * 5 * seed as usize),
            bytes: is_there
                .then(|| (0..=255).rev().take(usize::from(small) + 100).chain([0, 0xff]).collect()),
            day: is_there.then(|| at.date()),
            hour: at.time(),
            at,
            then: is_there.then(|| PrimitiveDateTime::new(at.date(), at.time())),
            note: EncryptedStr::new(format!("note {seed} of {id}")),
        }
    }
}

/// Updates that this connection has sent.
async fn updates(connection: &mut MySqlConnection) -> i64 {
    let status = "select cast(variable_value as signed) from information_schema.session_status \
                  where variable_name = 'COM_UPDATE'";
    sqlx::query_scalar(status).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn values_of_every_type_arrive_unchanged() {
    let db = TestDatabase::new(2, &[SAMPLES]).await;
    let table = SqlTable::<Sample, Db>::new(&db.pool, &cryptor());
    let of = |seed| (0..120).map(move |id| Sample::new(id, seed)).collect::<Vec<_>>();
    table.insert_many(&of(1)).await.unwrap();
    let mut connection = db.pool.acquire().await.unwrap();
    // short values first, then longer ones in the same prepared statement
    for seed in [0, 4, 2] {
        let (rows, before) = (of(seed), updates(&mut connection).await);
        assert_eq!(table.update_many(&rows).in_chunks_of(60).on(&mut connection).await.unwrap(), 120);
        assert_eq!(updates(&mut connection).await - before, 4, "50 rows and 10, twice");
        let read = table.list().decrypt_pii().await.unwrap();
        for (read, row) in read.iter().zip(&rows) {
            assert_eq!(
                (read.id, read.is_new, read.tiny, read.large),
                (row.id, row.is_new, row.tiny, row.large)
            );
            assert_eq!((read.single, read.double), (row.single, row.double), "row {}", row.id);
            assert_eq!((&read.text, &read.bytes), (&row.text, &row.bytes));
            assert_eq!((read.day, read.hour, read.at, read.then), (row.day, row.hour, row.at, row.then));
            assert_eq!(read.note, row.note);
        }
    }
}

#[derive(PiiModel, Clone)]
#[pii(name = "word", table = "words", from_row)]
struct Word {
    #[pii(id)]
    word: String,
    meaning: EncryptedStr,
}

#[tokio::test]
async fn ids_that_read_alike_keep_to_themselves() {
    let ddl = "create table words (word varchar(40), n integer auto_increment primary key, meaning text, index (word))";
    let db = TestDatabase::new(2, &[ddl]).await;
    let table = SqlTable::<Word, Db>::new(&db.pool, &cryptor());
    let word = |word: &str, meaning: &str| Word { word: word.into(), meaning: EncryptedStr::new(meaning) };
    let words = ["ada", "Ada", "ADA", "ada ", "Žofie", "zofie"];
    table.insert_many(&words.map(|one| word(one, "old"))).await.unwrap();
    let rows: Vec<_> = words.iter().rev().map(|one| word(one, &format!("new {one}"))).collect();
    assert_eq!(table.update_many(&rows).await.unwrap(), 6);
    let read = table.list().decrypt_pii().await.unwrap();
    assert_eq!(read.len(), 6);
    for row in &read {
        assert_eq!(row.meaning.expose().unwrap(), format!("new {}", row.word));
    }
    let error = table.update_many(&[word("ada", "newer"), word("aDa", "newer")]).await.unwrap_err();
    assert_eq!(error.kind(), pii::ErrorKind::RowNotFound);
    let read = table.list().decrypt_pii().await.unwrap();
    assert!(read.iter().all(|row| row.meaning.expose().unwrap() == format!("new {}", row.word)));
}

#[tokio::test]
async fn rows_with_structs_in_columns_of_their_own_go_together() {
    let db = TestDatabase::new(2, &[VISITS]).await;
    let visits = SqlTable::<Visit, Db>::new(&db.pool, &cryptor());
    let of = |seed: i64| {
        let visit = move |id: i64| {
            let mut visit = Visit::new(id);
            visit.place.city = format!("{seed} of {id}");
            visit.origin = ((id + seed) % 2 == 0).then(|| visit.place.clone());
            visit.visitor.age = ((id + seed) % 3 > 0).then_some(seed);
            visit
        };
        (0..60).map(visit).collect::<Vec<_>>()
    };
    visits.insert_many(&of(1)).await.unwrap();
    let mut connection = db.pool.acquire().await.unwrap();
    for seed in [2, 3] {
        let (rows, before) = (of(seed), updates(&mut connection).await);
        assert_eq!(visits.update_many(&rows).on(&mut connection).await.unwrap(), 60);
        assert_eq!(updates(&mut connection).await - before, 2, "50 rows and 10");
        for (read, row) in visits.list().decrypt_pii().await.unwrap().iter().zip(&rows) {
            assert_eq!(
                (read.id, &read.place.city, read.visitor.age),
                (row.id, &row.place.city, row.visitor.age)
            );
            let city = |visit: &Visit| visit.origin.as_ref().map(|origin| origin.city.clone());
            assert_eq!(city(read), city(row));
        }
    }
}

#[derive(PiiModel, Clone)]
#[pii(nested)]
struct Label<T> {
    code: T,
    text: EncryptedStr,
}

#[derive(PiiModel, Clone)]
#[pii(name = "bottle", table = "bottles", from_row)]
struct Bottle {
    #[pii(id)]
    id: i64,
    #[pii(nested, prefix = "label_")]
    label: Label<Json<Vec<String>>>,
}

#[tokio::test]
async fn a_struct_with_a_column_of_another_type_makes_one_statement_of_each_row() {
    let ddl =
        "create table bottles (id bigint primary key, label_code json not null, label_text text not null)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let bottles = SqlTable::<Bottle, Db>::new(&db.pool, &cryptor());
    let of = |seed: &str| {
        let label =
            |id: i64| Label { code: Json(vec![format!("{seed} \" {id}")]), text: EncryptedStr::new(seed) };
        (0..4).map(|id| Bottle { id, label: label(id) }).collect::<Vec<_>>()
    };
    bottles.insert_many(&of("old")).await.unwrap();
    let mut connection = db.pool.acquire().await.unwrap();
    let before = updates(&mut connection).await;
    assert_eq!(bottles.update_many(&of("new")).on(&mut connection).await.unwrap(), 4);
    assert_eq!(updates(&mut connection).await - before, 4);
    for (read, row) in bottles.list().await.unwrap().iter().zip(&of("new")) {
        assert_eq!((read.id, &read.label.code.0), (row.id, &row.label.code.0));
    }
}

#[derive(PiiModel, Clone)]
#[pii(name = "jar", table = "jars", from_row)]
struct Jar {
    #[pii(id)]
    id: i64,
    lid: Option<Uuid>,
    #[pii(nested, prefix = "label_")]
    label: Label<Uuid>,
    #[pii(nested, prefix = "old_")]
    old: Option<Label<Uuid>>,
}

#[tokio::test]
async fn uuids_go_together() {
    let ddl = "create table jars (id bigint primary key, lid binary(16), label_code binary(16) not null, \
               label_text text not null, old_code binary(16), old_text text)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let jars = SqlTable::<Jar, Db>::new(&db.pool, &cryptor());
    let of = |seed: u128| {
        // among them some with zeros and spaces at either end, and bytes that are no text
        let uuids = [0, 1, 0x20, 0x20_u128 << 120, u128::MAX - seed, seed << 64, 0x80 | seed << 120];
        let label = |uuid| Label { code: Uuid::from_u128(uuid), text: EncryptedStr::new("note") };
        let jar = |(id, uuid): (i64, u128)| Jar {
            id,
            lid: (uuid % 2 == 0).then(|| Uuid::from_u128(!uuid)),
            label: label(uuid),
            old: (uuid % 2 == 1).then(|| label(uuid << 3)),
        };
        (0..).zip(uuids).map(jar).collect::<Vec<_>>()
    };
    jars.insert_many(&of(1)).await.unwrap();
    let mut connection = db.pool.acquire().await.unwrap();
    for seed in [7, 0x20] {
        let before = updates(&mut connection).await;
        assert_eq!(jars.update_many(&of(seed)).on(&mut connection).await.unwrap(), 7);
        assert_eq!(updates(&mut connection).await - before, 1);
        for (read, row) in jars.list().await.unwrap().iter().zip(&of(seed)) {
            let old = |jar: &Jar| jar.old.as_ref().map(|old| old.code);
            assert_eq!(
                (read.id, read.lid, read.label.code, old(read)),
                (row.id, row.lid, row.label.code, old(row))
            );
        }
    }
}

#[derive(PiiModel, Clone)]
#[pii(name = "article", table = "articles", from_row)]
struct Article {
    #[pii(id)]
    id: i64,
    price: i64,
    tags: Json<Vec<String>>,
    note: EncryptedStr,
}

#[tokio::test]
async fn a_column_of_another_type_makes_one_statement_of_each_row() {
    let ddl = "create table articles (id bigint primary key, price bigint not null, tags json not null, \
               note text not null)";
    let db = TestDatabase::new(2, &[ddl]).await;
    let table = SqlTable::<Article, Db>::new(&db.pool, &cryptor());
    let of = |id: i64, price: i64| Article {
        id,
        price,
        tags: Json(vec![format!("{price} \" of {id}")]),
        note: EncryptedStr::new("note"),
    };
    let rows = |price| (0..4).map(|id| of(id, price)).collect::<Vec<_>>();
    table.insert_many(&rows(1)).await.unwrap();
    let mut connection = db.pool.acquire().await.unwrap();
    let before = updates(&mut connection).await;
    let changed = rows(1_234_567_890_123);
    assert_eq!(table.update_many(&changed).on(&mut connection).await.unwrap(), 4);
    assert_eq!(updates(&mut connection).await - before, 4);
    for (read, row) in table.list().await.unwrap().iter().zip(&changed) {
        assert_eq!((read.price, &read.tags.0), (row.price, &row.tags.0));
    }
}

#[tokio::test]
async fn rows_that_are_large_go_into_several_statements() {
    let db = TestDatabase::new(2, &[SAMPLES]).await;
    let table = SqlTable::<Sample, Db>::new(&db.pool, &cryptor());
    let mut rows: Vec<_> = (0..40).map(|id| Sample::new(id, 1)).collect();
    table.insert_many(&rows).await.unwrap();
    for row in &mut rows {
        row.text = format!("{}{}", row.id, "t".repeat(700_000));
    }
    let mut connection = db.pool.acquire().await.unwrap();
    let before = updates(&mut connection).await;
    // all of them are more than the server takes at once
    assert_eq!(table.update_many(&rows).on(&mut connection).await.unwrap(), 40);
    assert_eq!(updates(&mut connection).await - before, 40);
    for (read, row) in table.list().await.unwrap().iter().zip(&rows) {
        assert!(read.text == row.text, "row {}", row.id);
    }
}

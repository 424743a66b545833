//! Many rows in one UPDATE, where each value is found by a `CASE`.

use pii::{EncryptedStr, PiiModel, SqlTable};
use sqlx::{MySqlConnection, types::Json};
use time::{Date, Duration, OffsetDateTime, PrimitiveDateTime, Time};

use super::{Db, TestDatabase};
use crate::support::cryptor;

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

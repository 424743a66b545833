//! Masked views one after the other.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use pii::{
    AuditFailure, Cryptor, DecryptPii as _, EncryptedStr, Error, ErrorKind, LocalKeyring, MaskedView, Mode,
    PiiModel, Result, SqlTable, TestKeyring, ctx,
    testing::{CollectingSink, assert_no_plaintext},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{super::Db, TestDatabase, sql};
use crate::{
    models::{EMAIL, SSN},
    support::{in_time, is_send},
};

const GUESTS: &str = "create table guests (id bigint primary key, tenant text not null, name text not null, \
     email text not null, phone text, note text not null)";
const ALL: &str = "select * from guests order by id";
const PHONE: &str = "+44 canary 4711";
const PLAINTEXTS: [&str; 4] = [EMAIL, PHONE, SSN, "Ada Canary"];

/// Two fields of which masks show a part, one of which has keys of its own, and one of which they show nothing.
#[derive(PiiModel, Clone, Serialize)]
#[pii(name = "guest", table = "guests", context(tenant = self.tenant), from_row)]
struct Guest {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 1, mask = "name")]
    name: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    #[pii(mask = "last4", keyring = "phones")]
    phone: Option<EncryptedStr>,
    note: EncryptedStr,
}

fn guest(id: i64) -> Guest {
    Guest {
        id,
        tenant: "acme".into(),
        name: "Ada Canary".into(),
        email: EncryptedStr::new(EMAIL),
        phone: (id % 2 == 0).then(|| EncryptedStr::new(PHONE)),
        note: EncryptedStr::new(SSN),
    }
}

fn seen(id: i64, email: &str, phone: &str) -> Value {
    let phone = if id % 2 == 0 { json!(phone) } else { Value::Null };
    json!({ "id": id, "tenant": "acme", "name": "A**** C****", "email": email, "phone": phone, "note": "*****" })
}

fn sealed(id: i64) -> Value {
    seen(id, "*****", "*****")
}

fn hinted(id: i64) -> Value {
    seen(id, "a****@example.com", "*****4711")
}

struct Hotel {
    db: TestDatabase,
    cryptor: Cryptor,
    guests: SqlTable<Guest, Db>,
    folder: tempfile::TempDir,
}

impl Hotel {
    async fn with(count: i64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (db, cryptor) = (TestDatabase::new(4, &[GUESTS]).await, with_phones(&folder, "one.key"));
        let guests = SqlTable::new(&db.pool, &cryptor);
        guests.insert_many(&(0..count).map(guest).collect::<Vec<_>>()).await.unwrap();
        Self { db, cryptor, guests, folder }
    }

    /// The streams of masked views: of the table, and of a query in chunks.
    fn sealed(&self) -> Vec<BoxStream<'_, Result<MaskedView<Guest>>>> {
        let of_query = |chunk| {
            let query = sqlx::query_as::<_, Guest>(ALL).decrypt_pii(&self.cryptor).chunk_size(chunk);
            query.masked().fetch(&self.db.pool)
        };
        vec![self.guests.list().decrypt_pii().masked().stream(), of_query(7), of_query(10_000)]
    }

    /// The same with hints.
    fn hinted(&self) -> Vec<BoxStream<'_, Result<MaskedView<Guest>>>> {
        let of_query = |chunk| {
            let query = sqlx::query_as::<_, Guest>(ALL).decrypt_pii(&self.cryptor).chunk_size(chunk);
            query.masked_with_hints().fetch(&self.db.pool)
        };
        vec![self.guests.list().masked_with_hints().stream(), of_query(7), of_query(10_000)]
    }

    fn opened(&self) -> u64 {
        self.cryptor.stats().opened
    }
}

/// A cryptor whose keys for numbers are in this file.
fn with_phones(folder: &tempfile::TempDir, file: &str) -> Cryptor {
    Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("phones", LocalKeyring::open_or_create(folder.path().join(file)).unwrap())
        .build()
        .unwrap()
}

async fn all(stream: BoxStream<'_, Result<MaskedView<Guest>>>) -> Vec<MaskedView<Guest>> {
    in_time(is_send(stream.try_collect())).await.unwrap()
}

fn is_seen(views: &[MaskedView<Guest>], expected: fn(i64) -> Value) {
    for (id, view) in (0..).zip(views) {
        assert_eq!(view.as_json(), &expected(id));
        assert_no_plaintext!(view.as_json(), view.to_string(), format!("{view:?}"); PLAINTEXTS);
        assert!(!format!("{view:?}").contains("acme"), "{view:?}");
    }
}

#[tokio::test]
async fn every_view_comes_once_and_in_order_and_nothing_is_opened() {
    let hotel = Hotel::with(600).await;
    let before = hotel.opened();
    for stream in hotel.sealed() {
        let views = all(stream).await;
        assert_eq!(views.len(), 600);
        is_seen(&views, sealed);
    }
    assert_eq!(hotel.opened(), before);
    assert_eq!(hotel.guests.list().masked().await.unwrap()[599].as_json(), &sealed(599));
}

#[tokio::test]
async fn hints_open_what_masks_show_and_nothing_else() {
    let hotel = Hotel::with(600).await;
    for stream in hotel.hinted() {
        let before = hotel.opened();
        let views = all(stream).await;
        assert_eq!(views.len(), 600);
        is_seen(&views, hinted);
        // an address each, every other number, and no note
        assert_eq!(hotel.opened() - before, 900);
    }
    assert_eq!(hotel.guests.list().masked_with_hints().await.unwrap()[598].as_json(), &hinted(598));
}

#[tokio::test]
async fn each_value_that_is_opened_is_one_event() {
    let hotel = Hotel::with(300).await;
    let sink = CollectingSink::new();
    let audited = Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("phones", LocalKeyring::open_or_create(hotel.folder.path().join("one.key")).unwrap())
        .audit(sink.clone(), AuditFailure::Refuse)
        .build()
        .unwrap();
    let guests = SqlTable::<Guest, _>::new(&hotel.db.pool, &audited);
    is_seen(&all(guests.list().masked().stream()).await, sealed);
    assert_eq!(sink.take().len(), 0);
    is_seen(&all(guests.list().masked_with_hints().stream()).await, hinted);
    assert_eq!(sink.take().len(), 450);
}

#[tokio::test]
async fn views_are_made_no_faster_than_they_are_asked_for() {
    let hotel = Hotel::with(600).await;
    let before = hotel.opened();
    let query = sqlx::query_as::<_, Guest>(ALL).decrypt_pii(&hotel.cryptor).chunk_size(10);
    let mut stream = query.masked_with_hints().fetch(&hotel.db.pool);
    assert_eq!(hotel.opened(), before, "nothing is done before a view is asked for");
    assert_eq!(stream.try_next().await.unwrap().unwrap().as_json(), &hinted(0));
    assert_eq!(hotel.opened() - before, 15, "the first batch");
    for id in 1..=10 {
        assert_eq!(stream.try_next().await.unwrap().unwrap().as_json(), &hinted(id));
    }
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let opened = hotel.opened() - before;
    assert!((30..=75).contains(&opened), "two batches, and some ahead: {opened}");
}

fn until_error(rows: &[Result<MaskedView<Guest>>], expected: fn(i64) -> Value) -> (usize, &Error) {
    let (last, good) = rows.split_last().unwrap();
    for (id, row) in (0..).zip(good) {
        assert_eq!(row.as_ref().unwrap().as_json(), &expected(id));
    }
    (good.len(), last.as_ref().unwrap_err())
}

#[tokio::test]
async fn a_stream_ends_at_its_first_error() {
    let hotel = Hotel::with(600).await;
    sql(&hotel.db, "update guests set email = 'canary@example.com' where id in (400, 405, 500)").await;
    for (streams, expected) in [(hotel.sealed(), sealed as fn(i64) -> Value), (hotel.hinted(), hinted)] {
        for stream in streams {
            let rows: Vec<_> = stream.collect().await;
            let (good, error) = until_error(&rows, expected);
            assert_eq!((good, error.kind()), (400, ErrorKind::NotEncrypted));
            assert_eq!((error.row_id(), error.field_name()), (Some("400"), Some("email")));
            assert_no_plaintext(format!("{error} {error:?}"), &["canary"]);
        }
    }
}

#[tokio::test]
async fn values_that_are_not_opened_are_not_examined() {
    let hotel = Hotel::with(600).await;
    let moved: (String, String) = sqlx::query_as("select email, note from guests where id = 3")
        .fetch_one(&hotel.db.pool)
        .await
        .unwrap();
    let statement = format!("update guests set email = '{}', note = '{}' where id = 300", moved.0, moved.1);
    sql(&hotel.db, statement.leak()).await;
    for stream in hotel.sealed() {
        is_seen(&all(stream).await, sealed);
    }
    for stream in hotel.hinted() {
        let rows: Vec<_> = stream.collect().await;
        let (good, error) = until_error(&rows, hinted);
        assert_eq!((good, error.kind()), (300, ErrorKind::Integrity));
        assert_eq!((error.row_id(), error.field_name()), (Some("300"), Some("email")));
    }
}

#[tokio::test]
async fn what_concerns_all_rows_is_one_error_and_no_view() {
    let hotel = Hotel::with(3).await;
    let moved = Hotel { cryptor: hotel.cryptor.scoped(ctx!(tenant = "")), ..hotel };
    for stream in [moved.sealed(), moved.hinted()].into_iter().flat_map(|streams| streams.into_iter().skip(1))
    {
        let rows: Vec<_> = stream.collect().await;
        assert!(matches!(rows.as_slice(), [Err(error)] if error.kind() == ErrorKind::InvalidContext));
    }
    moved.db.pool.close().await;
    for stream in [moved.guests.list().masked().stream(), moved.guests.list().masked_with_hints().stream()] {
        let rows: Vec<_> = stream.collect().await;
        assert!(matches!(rows.as_slice(), [Err(error)] if error.kind() == ErrorKind::Database));
    }
}

#[tokio::test]
async fn who_may_not_open_sees_full_masks() {
    let hotel = Hotel::with(300).await;
    let writing = Hotel { cryptor: hotel.cryptor.limited_to(Mode::WriteOnly), ..hotel };
    let guests = SqlTable::new(&writing.db.pool, &writing.cryptor);
    let writing = Hotel { guests, ..writing };
    let before = writing.opened();
    for stream in writing.hinted() {
        let views = all(stream).await;
        assert_eq!(views.len(), 300);
        is_seen(&views, sealed);
    }
    assert_eq!(writing.opened(), before);
}

#[tokio::test]
async fn a_key_that_is_missing_hides_its_field_and_no_other() {
    let hotel = Hotel::with(300).await;
    let other = with_phones(&hotel.folder, "two.key");
    let guests = SqlTable::<Guest, _>::new(&hotel.db.pool, &other);
    // numbers of this cryptor, in between and in the last batch
    let own = [guest(100), guest(298)];
    guests.upsert_many(&own).await.unwrap();
    let expected =
        |id| seen(id, "a****@example.com", if [100, 298].contains(&id) { "*****4711" } else { "*****" });
    let query = sqlx::query_as::<_, Guest>(ALL).decrypt_pii(&other).chunk_size(7);
    for stream in
        [guests.list().masked_with_hints().stream(), query.masked_with_hints().fetch(&hotel.db.pool)]
    {
        let views = all(stream).await;
        assert_eq!(views.len(), 300);
        is_seen(&views, expected);
    }
}

#[tokio::test]
async fn a_stream_runs_in_a_transaction_and_may_be_dropped() {
    let hotel = Hotel::with(500).await;
    let mut tx = hotel.db.pool.begin().await.unwrap();
    hotel.guests.insert(&guest(-1)).on(&mut tx).await.unwrap();
    {
        let mut stream = hotel.guests.list().on(&mut tx).masked_with_hints().stream();
        assert_eq!(is_send(stream.try_next()).await.unwrap().unwrap().as_json(), &hinted(-1));
    }
    {
        let query = sqlx::query_as::<_, Guest>(ALL).decrypt_pii(&hotel.cryptor).chunk_size(10);
        let mut stream = query.masked().fetch(&mut *tx);
        for id in -1..30 {
            assert_eq!(stream.try_next().await.unwrap().unwrap().as_json(), &sealed(id));
        }
    }
    hotel.guests.delete(1).on(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(hotel.guests.get(1).optional().await.unwrap().is_none());
    assert_eq!(all(hotel.guests.list().masked().stream()).await.len(), 500);
}

#[tokio::test]
async fn an_empty_table_has_no_views() {
    let hotel = Hotel::with(0).await;
    for stream in hotel.sealed().into_iter().chain(hotel.hinted()) {
        assert!(all(stream).await.is_empty());
    }
}

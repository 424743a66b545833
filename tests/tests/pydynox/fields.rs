//! Fields with `legacy = "pydynox"`, in a table that pydynox wrote.

use std::sync::Arc;

use pii::{
    AuditFailure, DecryptPii as _, Encrypted, EncryptedStr, ErrorKind, Json, Mode, Operation, PiiModel,
    SqlTable, ValueState,
    testing::{CollectingSink, assert_all_sealed, assert_sealed_text},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Sqlite, SqlitePool};

use super::{
    database::{
        CARD, Customer, NOTE, SSN, as_pydynox, count, cryptor, database, item, plain_cryptor, put, stored,
        table, with_item,
    },
    support::{Emulator, base64, decoded},
};

#[tokio::test]
async fn a_row_of_pydynox_stays_as_it_is_and_opens_on_request() {
    let (pool, emulator, cryptor) = with_item().await;
    let table = table(&pool, &cryptor);

    let row = table.get(1).await.unwrap();
    assert_all_sealed(&row);
    assert!(row.ssn.ciphertext().unwrap().is_foreign());
    assert_eq!(row.ssn.expose().unwrap_err().kind(), ErrorKind::State);
    table.update(&row).await.unwrap();
    assert_eq!(stored(&pool, 1).await, item());
    assert_eq!((emulator.decrypted(), emulator.generated()), (0, 0), "no key was asked for");

    let row = table.get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.exposed(), [SSN, CARD, NOTE]);
    assert_eq!(row.ssn.state(), ValueState::Opened);
    table.update(&row).await.unwrap();
    assert_eq!(stored(&pool, 1).await, item());
    assert_eq!(emulator.decrypted(), 3);

    let some = table.get(1).decrypt_fields(["card"]).await.unwrap();
    assert_eq!(some.card.as_ref().unwrap().expose().unwrap(), CARD);
    assert_eq!(some.ssn.state(), ValueState::Sealed);
    let query = sqlx::query_as::<_, Customer>("select * from customers").decrypt_pii(&cryptor);
    assert_eq!(query.fetch_one(&pool).await.unwrap().exposed(), [SSN, CARD, NOTE]);
    assert_eq!(cryptor.stats().legacy_opened, 7);
}

#[tokio::test]
async fn new_values_are_written_as_pydynox_reads_them() {
    let (pool, emulator, cryptor) = with_item().await;
    let table = table(&pool, &cryptor);
    let mut row = table.get(1).decrypt_pii().await.unwrap();
    row.ssn.set("987-65-4321");
    table.update(&row).await.unwrap();
    let texts = stored(&pool, 1).await;
    assert_eq!(texts[1..], item()[1..], "what was not changed");
    assert_eq!(as_pydynox(&emulator, &texts), ["987-65-4321", CARD, NOTE]);

    table.insert(&Customer::new(2)).await.unwrap();
    assert_eq!(as_pydynox(&emulator, &stored(&pool, 2).await), [SSN, CARD, NOTE]);
    let email: String =
        sqlx::query_scalar("select email from customers where id = 2").fetch_one(&pool).await.unwrap();
    assert_sealed_text(&email);
    assert_eq!(table.get(2).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, NOTE]);
    let stats = cryptor.stats();
    assert_eq!((stats.legacy_sealed, stats.sealed), (4, 1));
}

#[tokio::test]
async fn each_is_counted_and_audited_as_what_it_is() {
    let (pool, _, cryptor) = with_item().await;
    let sink = CollectingSink::new();
    let audited = cryptor.audited(Arc::new(sink.clone()), AuditFailure::Refuse);
    let table = table(&pool, &audited);
    table.get(1).decrypt_pii().await.unwrap();
    table.insert(&Customer::new(2)).await.unwrap();
    let events = sink.take();
    let found: Vec<(Operation, &str, bool)> =
        events.iter().map(|event| (event.operation, event.field.as_str(), event.key_id.is_none())).collect();
    use Operation::{OpenLegacy, Seal, SealLegacy};
    assert_eq!(
        found,
        [
            (OpenLegacy, "ssn", true),
            (OpenLegacy, "card", true),
            (OpenLegacy, "note", true),
            (SealLegacy, "ssn", true),
            (SealLegacy, "card", true),
            (SealLegacy, "note", true),
            (Seal, "email", false),
        ]
    );
    sink.set_failing(true);
    assert_eq!(table.get(1).decrypt_pii().await.unwrap_err().kind(), ErrorKind::Audit);
    assert_eq!(table.insert(&Customer::new(3)).await.unwrap_err().kind(), ErrorKind::Audit);
    assert_eq!(count(&pool).await, 2);
}

#[tokio::test]
async fn values_that_were_altered_or_are_of_another_context_are_refused() {
    let (pool, _, cryptor) = with_item().await;
    let [ssn, card, note] = item();
    let mut altered = decoded(&ssn);
    *altered.last_mut().unwrap() ^= 1;
    put(&pool, 2, &[base64(altered), card.clone(), note.clone()]).await;
    put(&pool, 3, &[card.clone(), ssn.clone(), note.clone()]).await;
    put(&pool, 4, &[note.clone(), card.clone(), note.clone()]).await;
    let table = table(&pool, &cryptor);
    for (id, kind) in [(2, ErrorKind::Integrity), (3, ErrorKind::ContextMismatch), (4, ErrorKind::KeyMissing)]
    {
        let error = table.get(id).decrypt_pii().await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (kind, Some("ssn")), "{error:?}");
        assert_eq!(error.row_id(), Some(id.to_string().as_str()));
        assert!(!format!("{error:?}").contains("acme-corp"), "{error:?}");
    }
    let rows = sqlx::query_as::<_, Customer>("select * from customers order by id");
    let rows = rows.decrypt_pii(&cryptor).each_row().fetch_all(&pool).await.unwrap();
    let good: Vec<bool> = rows.iter().map(Result::is_ok).collect();
    assert_eq!(good, [true, false, false, false], "one bad value hides no good row");
    assert_eq!(cryptor.stats().refused, 8);

    // a text of neither form is refused when it is loaded
    for (id, text) in [(5, "ENC:AQAAAA=="), (6, "ENC:AwEAAAAA"), (7, "ENC:"), (8, "ENC:AQ")] {
        put(&pool, id, &[text.to_owned(), card.clone(), note.clone()]).await;
        let error = table.get(id).await.unwrap_err();
        assert!(error.is_integrity(), "{text}: {error:?}");
        assert_eq!(error.field_name(), Some("ssn"));
    }
}

/// The same table, by a program that was not told of pydynox.
#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(tenant = self.tenant), from_row)]
struct Strict {
    #[pii(id)]
    id: i64,
    tenant: String,
    ssn: EncryptedStr,
}

#[tokio::test]
async fn a_field_that_does_not_say_so_accepts_none() {
    let (pool, _, cryptor) = with_item().await;
    let strict = SqlTable::<Strict, Sqlite>::new(&pool, &cryptor);
    for error in [strict.get(1).await.unwrap_err(), strict.get(1).decrypt_pii().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Configuration, "`card` is none of its fields: {error}");
    }
    let cryptor = plain_cryptor().with_legacy(Emulator::new().of([("", ""); 0]));
    let strict = SqlTable::<Strict, Sqlite>::new(&pool, &cryptor);
    for error in [strict.get(1).await.unwrap_err(), strict.get(1).decrypt_pii().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::UnknownVersion, "{error}");
    }
    let row: Strict = sqlx::query_as("select * from customers").fetch_one(&pool).await.unwrap();
    assert_eq!(row.ssn.state(), ValueState::Malformed);
    assert_eq!(strict.update(&row).await.unwrap_err().kind(), ErrorKind::UnknownVersion);
    assert_eq!(stored(&pool, 1).await, item());
}

#[tokio::test]
async fn a_cryptor_that_was_not_told_how_neither_reads_nor_writes() {
    let (pool, ..) = with_item().await;
    let cryptor = plain_cryptor();
    let table = table(&pool, &cryptor);
    for error in [
        table.get(1).await.unwrap_err(),
        table.get(1).decrypt_pii().await.unwrap_err(),
        table.insert(&Customer::new(2)).await.unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("ssn")));
        assert!(error.to_string().contains("with_legacy"), "{error}");
    }
    assert_eq!(count(&pool).await, 1);
}

#[tokio::test]
async fn a_registration_for_a_field_that_is_none_is_an_error() {
    let (pool, emulator, cryptor) = with_item().await;
    for wrong in ["email", "id", "crad", ""] {
        let cryptor = cryptor.with_legacy_of("customer", wrong, emulator.of([("a", "b")]));
        let error = table(&pool, &cryptor).get(1).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
        assert_eq!(error.field_name(), Some(wrong));
        let error = table(&pool, &cryptor).insert(&Customer::new(2)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{wrong}");
    }
    assert_eq!(count(&pool).await, 1);
    let elsewhere = cryptor.with_legacy_of("order", "email", emulator.of([("a", "b")]));
    table(&pool, &elsewhere).get(1).await.unwrap();
}

#[tokio::test]
async fn a_value_of_unknown_origin_is_verified_before_it_is_written_back() {
    let (pool, emulator, cryptor) = with_item().await;
    let row: Customer = sqlx::query_as("select * from customers").fetch_one(&pool).await.unwrap();
    assert_eq!(row.ssn.state(), ValueState::Malformed);
    assert_eq!(row.ssn.expose().unwrap_err().kind(), ErrorKind::UnknownVersion);
    assert!(sqlx::query("update customers set note = $1").bind(&row.ssn).execute(&pool).await.is_err());
    table(&pool, &cryptor).update(&row).await.unwrap();
    assert_eq!(stored(&pool, 1).await, item());
    assert_eq!(emulator.decrypted(), 3);

    let write_only = cryptor.limited_to(Mode::WriteOnly);
    assert_eq!(table(&pool, &write_only).update(&row).await.unwrap_err().kind(), ErrorKind::Mode);

    let [mut ssn, card, note] = item();
    ssn.truncate(ssn.len() - 4);
    put(&pool, 2, &[ssn, card, note]).await;
    let row: Customer =
        sqlx::query_as("select * from customers where id = 2").fetch_one(&pool).await.unwrap();
    let error = table(&pool, &cryptor).update(&row).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("ssn")));
}

#[tokio::test]
async fn a_loaded_value_is_not_saved_in_another_row() {
    let (pool, _, cryptor) = with_item().await;
    let table = table(&pool, &cryptor);
    for loaded in [table.get(1).await.unwrap(), table.get(1).decrypt_pii().await.unwrap()] {
        let moved = Customer { id: 2, ..loaded };
        assert_eq!(table.insert(&moved).await.unwrap_err().kind(), ErrorKind::WrongPlace);
    }
    let mut moved = table.get(1).decrypt_pii().await.unwrap();
    moved.id = 2;
    moved.ssn.reseal().unwrap();
    moved.card.as_mut().unwrap().reseal().unwrap();
    moved.note.reseal().unwrap();
    table.insert(&moved).await.unwrap();
    assert_eq!(table.get(2).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, NOTE]);
}

#[tokio::test]
async fn modes_hold() {
    let (pool, emulator, cryptor) = with_item().await;
    let write_only = cryptor.limited_to(Mode::WriteOnly);
    let table_w = table(&pool, &write_only);
    let row = table_w.get(1).await.unwrap();
    table_w.update(&row).await.unwrap();
    table_w.insert(&Customer::new(2)).await.unwrap();
    assert_eq!(table_w.get(1).decrypt_pii().await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(emulator.decrypted(), 0);

    let read_only = cryptor.limited_to(Mode::ReadOnly);
    let table_r = table(&pool, &read_only);
    let mut row = table_r.get(1).decrypt_pii().await.unwrap();
    table_r.update(&row).await.unwrap();
    row.ssn.set("987-65-4321");
    let before = emulator.generated();
    let error = table_r.update(&row).await.unwrap_err();
    assert_eq!((error.kind(), emulator.generated()), (ErrorKind::Mode, before));
    assert_eq!(stored(&pool, 1).await, item());
}

#[tokio::test]
async fn an_outage_leaves_everything_as_it_was() {
    let (pool, emulator, cryptor) = with_item().await;
    let table = table(&pool, &cryptor);
    let mut row = table.get(1).decrypt_pii().await.unwrap();
    row.note.set("changed");
    *emulator.fault.lock().unwrap() = Some(ErrorKind::KeyUnavailable);
    for error in [
        table.get(1).decrypt_pii().await.unwrap_err(),
        table.update(&row).await.unwrap_err(),
        table.insert(&Customer::new(2)).await.unwrap_err(),
    ] {
        assert!(error.is_retryable(), "{error:?}");
        assert_eq!(error.model_name(), Some("customer"));
    }
    assert_eq!((stored(&pool, 1).await, count(&pool).await), (item(), 1));
    assert_all_sealed(&table.get(1).await.unwrap());
    *emulator.fault.lock().unwrap() = None;
    table.update(&row).await.unwrap();
    assert_eq!(table.get(1).decrypt_pii().await.unwrap().exposed(), [SSN, CARD, "changed"]);
}

/// Other types, and places below the model's own fields.
#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "profile")]
struct Profile {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydynox")]
    numbers: Encrypted<Json<Vec<u32>>>,
    #[pii(legacy = "pydynox")]
    phones: Vec<EncryptedStr>,
    #[pii(nested)]
    address: Address,
    #[pii(legacy = "pydynox", plaintext = "accept_and_seal", mode = "WriteOnly")]
    pin: EncryptedStr,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    #[pii(legacy = "pydynox")]
    street: EncryptedStr,
}

#[tokio::test]
async fn stores_that_serialise_work_too() {
    let emulator = Emulator::new();
    let of_all = emulator.of([("a", "b")]);
    let of_street = emulator.of([("street", "yes")]);
    let cryptor = plain_cryptor().with_legacy(of_all.clone()).with_legacy_of(
        "profile",
        "address.street",
        of_street.clone(),
    );
    let text = |bytes: &'static [u8]| {
        let of_all = of_all.clone();
        async move { of_all.encrypt(bytes).await.unwrap() }
    };
    let document = json!({
        "id": 1,
        "numbers": text(b"[1,2]").await,
        "phones": [text(b"1").await, text(b"2").await],
        "address": {"street": of_street.encrypt(b"Main Street").await.unwrap()},
        "pin": text(b"1234").await,
    });
    let mut rows: [Profile; 1] = [serde_json::from_value(document.clone()).unwrap()];
    assert!(serde_json::to_value(&rows[0]).is_err(), "not before its place is known");
    cryptor.open(&mut rows).await.unwrap();
    assert_eq!(rows[0].numbers.expose().unwrap(), [1, 2]);
    assert_eq!(rows[0].phones[1].expose().unwrap(), "2");
    assert_eq!(rows[0].address.street.expose().unwrap(), "Main Street");
    assert_eq!(rows[0].pin.state(), ValueState::Sealed, "WriteOnly");
    assert_eq!(serde_json::to_value(&rows[0]).unwrap(), document);
    assert_eq!(serde_json::to_value(cryptor.sealed(&rows[0]).await.unwrap()).unwrap(), document);

    let plaintext = json!({"id": 1, "numbers": document["numbers"], "phones": [], "address": document["address"], "pin": "1234"});
    let mut rows: [Profile; 1] = [serde_json::from_value(plaintext).unwrap()];
    cryptor.seal(&mut rows[..0]).await.unwrap();
    cryptor.open(&mut rows).await.unwrap();
    cryptor.seal(&mut rows).await.unwrap();
    assert!(rows[0].pin.ciphertext().unwrap().is_foreign(), "accepted, and written as pydynox writes");

    let mut wrong = document;
    wrong["numbers"] = text(b"not JSON").await.into();
    let mut rows: [Profile; 1] = [serde_json::from_value(wrong).unwrap()];
    let error = cryptor.open(&mut rows).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Malformed, Some("numbers")));
}

#[tokio::test]
async fn many_rows_ask_at_once_and_for_equal_values_once() {
    let (pool, emulator) = (database().await, Emulator::new());
    let cryptor = cryptor(&emulator);
    for id in 1..=50 {
        put(&pool, id, &item()).await;
    }
    let rows = table(&pool, &cryptor).list().decrypt_pii().await.unwrap();
    assert!(rows.len() == 50 && rows.iter().all(|row| row.exposed() == [SSN, CARD, NOTE]));
    assert_eq!(emulator.decrypted(), 3);
    let rows: Vec<Customer> = (51..=100).map(Customer::new).collect();
    table(&pool, &cryptor).insert_many(&rows).await.unwrap();
    assert_eq!(emulator.generated(), 150);
    assert!((2..=48).contains(&emulator.most_at_once.load(std::sync::atomic::Ordering::SeqCst)));
    let opened = table(&pool, &cryptor).list().decrypt_pii().await.unwrap();
    assert_eq!((opened.len(), emulator.decrypted()), (100, 156));
}

#[allow(dead_code, reason = "compiles if the futures can be spawned")]
fn can_be_spawned(pool: SqlitePool, cryptor: pii::Cryptor) {
    fn is_send(_: impl Future + Send) {}
    is_send(async move {
        table(&pool, &cryptor).get(1).decrypt_pii().await.unwrap();
        table(&pool, &cryptor).insert(&Customer::new(1)).await.unwrap();
    });
}

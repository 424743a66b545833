//! JSON documents, of which values are sealed in place, or the whole.

use std::{collections::BTreeMap, sync::Arc};

use pii::{
    Access, AppKeyFile, AuditFailure, Ciphertext, Cryptor, Documents, Error, ErrorKind, FileKeyStore, Level,
    Mode, NoId, Operation, Reason, TestKeyring, ctx,
    testing::{CollectingSink, FailingKeyring, assert_no_plaintext, assert_sealed_text},
};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

/// A cryptor whose values hold no copies of the key, which are authenticated apart from the values.
fn cryptor_with_store() -> (tempfile::TempDir, Cryptor) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path()).unwrap();
    (folder, Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap())
}

fn invoices() -> Documents {
    Documents::new("invoice")
        .context(ctx!(tenant = "acme"))
        .paths(["$.customer.email", "$.cards[*].number"])
        .unwrap()
}

fn invoice() -> Value {
    json!({
        "total": 12.5,
        "customer": {"email": "ada@example.com", "city": "London"},
        "cards": [{"number": "4111111111111111", "last": 1}, {"number": "4222222222222222"}],
    })
}

const PLAINTEXTS: [&str; 3] = ["ada@example.com", "4111111111111111", "4222222222222222"];

async fn sealed(documents: &Documents, id: i64) -> Value {
    let mut document = invoice();
    documents.encrypt_fields(&cryptor(), &mut document, id).await.unwrap();
    document
}

/// Opening must fail with this kind, change nothing, and show nothing.
async fn refused(documents: &Documents, document: &Value, id: i64) -> Error {
    let mut copy = document.clone();
    let error = documents.decrypt_fields(&cryptor(), &mut copy, id).await.unwrap_err();
    assert_eq!(copy, *document, "a document that was refused is as it was");
    assert_no_plaintext(format!("{error} {error:?}"), &PLAINTEXTS);
    error
}

#[tokio::test]
async fn chosen_values_are_sealed_and_the_rest_is_as_it_was() {
    let document = sealed(&invoices(), 7).await;
    assert_no_plaintext(document.to_string(), &PLAINTEXTS);
    assert_eq!(document["total"], 12.5);
    assert_eq!(document["customer"]["city"], "London");
    assert_eq!(document["cards"][0]["last"], 1);
    assert_eq!(document["cards"].as_array().unwrap().len(), 2);
    for text in ["/customer/email", "/cards/0/number", "/cards/1/number"] {
        assert_sealed_text(document.pointer(text).unwrap().as_str().unwrap());
    }
    let mut opened = document;
    invoices().decrypt_fields(&cryptor(), &mut opened, 7).await.unwrap();
    assert_eq!(opened, invoice());
}

#[tokio::test]
async fn every_json_type_comes_back_as_it_was() {
    let values = json!([
        null, true, false, 0, -1, 1, i64::MIN, i64::MAX, u64::MAX, 0.1, -0.0, 1e300, 5e-324, 1.7976931348623157e308,
        "", "x", "ENC: no", "\u{0}\u{1f}\"\\/\u{2028}\u{1f511}", [], {}, [[], {}], [1, [2, [3, null]]],
        {"a": {"b": [true, {"": null}]}, "ENC:AAAA": "ENC:"}
    ]);
    let documents = Documents::new("any").paths(["$[*]"]).unwrap();
    let mut document = values.clone();
    documents.encrypt_fields(&cryptor(), &mut document, NoId).await.unwrap();
    assert!(
        document.as_array().unwrap().iter().all(|value| Ciphertext::parse(value.as_str().unwrap()).is_ok())
    );
    documents.decrypt_fields(&cryptor(), &mut document, NoId).await.unwrap();
    assert_eq!(document, values);
    assert!(
        document[10].as_f64().unwrap().is_sign_negative() && document[6].is_i64() && document[8].is_u64()
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |float| float.is_finite()).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_value_comes_back_from_any_member(value in any_json(), member in any::<String>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let original = json!({ "list": [{ member.clone(): value.clone() }] });
            let documents = Documents::new("any").paths(["$.list[*].*"]).unwrap();
            let mut document = original.clone();
            documents.encrypt_fields(&cryptor(), &mut document, 1).await.unwrap();
            assert_sealed_text(document["list"][0][&member].as_str().unwrap());
            documents.decrypt_fields(&cryptor(), &mut document, 1).await.unwrap();
            assert_eq!(document, original);
            let text = documents.encrypt(&cryptor(), &value, 1).await.unwrap();
            assert_eq!(documents.decrypt::<Value>(&cryptor(), &text, 1).await.unwrap(), value);
        });
    }
}

#[tokio::test]
async fn values_that_were_exchanged_are_refused() {
    let documents = invoices();
    let document = sealed(&documents, 7).await;
    let exchange = |a: &str, b: &str| {
        let mut changed = document.clone();
        let (from_a, from_b) = (document.pointer(a).unwrap().clone(), document.pointer(b).unwrap().clone());
        *changed.pointer_mut(a).unwrap() = from_b;
        *changed.pointer_mut(b).unwrap() = from_a;
        changed
    };
    for (a, b) in [
        ("/cards/0/number", "/cards/1/number"),
        ("/customer/email", "/cards/0/number"),
        ("/cards/0", "/cards/1"),
    ] {
        let error = refused(&documents, &exchange(a, b), 7).await;
        assert_eq!(error.kind(), ErrorKind::Integrity, "{a} {b}");
        assert_eq!(error.row_id(), Some("7"));
        assert_eq!(error.model_name(), Some("invoice"));
    }
    let mut removed = document.clone();
    removed["cards"].as_array_mut().unwrap().remove(0);
    assert_eq!(refused(&documents, &removed, 7).await.kind(), ErrorKind::Integrity);
    // exchanging nothing is no change
    let mut same = exchange("/cards/0/number", "/cards/0/number");
    documents.decrypt_fields(&cryptor(), &mut same, 7).await.unwrap();
    assert_eq!(same, invoice());
}

#[tokio::test]
async fn a_document_opens_only_as_what_it_was_sealed_as() {
    let document = sealed(&invoices(), 7).await;
    assert_eq!(refused(&invoices(), &document, 8).await.kind(), ErrorKind::Integrity, "another id");
    let paths = ["$.customer.email", "$.cards[*].number"];
    let in_acme = |name| Documents::new(name).context(ctx!(tenant = "acme")).paths(paths).unwrap();
    let elsewhere = Documents::new("invoice").context(ctx!(tenant = "globex")).paths(paths).unwrap();
    for other in [in_acme("offer"), elsewhere, Documents::new("invoice").paths(paths).unwrap()] {
        assert!(refused(&other, &document, 7).await.is_integrity(), "{other:?}");
    }
    let mut copy = document.clone();
    let error = invoices().decrypt_fields(&cryptor(), &mut copy, "7").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity, "the text 7 is another id than the number 7");
    assert!(invoices().decrypt_fields(&cryptor(), &mut copy, NoId).await.is_err());
    in_acme("invoice").decrypt_fields(&cryptor(), &mut copy, 7_u8).await.unwrap();
    assert_eq!(copy, invoice());
}

#[tokio::test]
async fn documents_without_ids_are_bound_to_all_the_rest() {
    let documents = invoices();
    let (mut one, mut other) = (invoice(), invoice());
    other["customer"]["email"] = "bob@example.com".into();
    documents.encrypt_fields(&cryptor(), &mut one, NoId).await.unwrap();
    documents.encrypt_fields(&cryptor(), &mut other, NoId).await.unwrap();
    one["customer"]["email"] = other["customer"]["email"].clone();
    documents.decrypt_fields(&cryptor(), &mut one, NoId).await.unwrap();
    assert_eq!(one["customer"]["email"], "bob@example.com", "what `NoId` says of itself");
    other["cards"][0]["number"] = other["cards"][1]["number"].clone();
    let error = documents.decrypt_fields(&cryptor(), &mut other, NoId).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, None));
}

#[tokio::test]
async fn an_id_that_writes_nothing_is_not_taken_for_none() {
    struct Nothing;
    impl pii::RowId for Nothing {
        fn write_row(&self, _: &mut pii::RowWriter) {}
    }
    let error = invoices().encrypt_fields(&cryptor(), &mut invoice(), Nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let error = invoices().encrypt(&cryptor(), "x", Nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_changed_character_is_refused_wherever_it_is() {
    let (_folder, cryptor) = cryptor_with_store();
    let (documents, mut document) = (invoices(), invoice());
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    let text = document["customer"]["email"].as_str().unwrap().to_owned();
    let mut changes: Vec<String> = Vec::new();
    for at in 0..text.len() {
        for other in ["A", "z", "5", "+", "/", "=", "-", " ", "\n", "\"", "\\", "é", "\u{0}"] {
            if !text[at..].starts_with(other) {
                changes.push([&text[..at], other, &text[at + 1..]].concat());
            }
        }
        changes.push(text[..at].to_owned());
        changes.push(text[at + 1..].to_owned());
        changes.push([&text[..at], "A", &text[at..]].concat());
    }
    assert!(changes.len() > 1000);
    for change in changes {
        let mut changed = document.clone();
        changed["customer"]["email"] = change.clone().into();
        let before = changed.clone();
        let error = documents.decrypt_fields(&cryptor, &mut changed, 7).await.unwrap_err();
        assert!(error.is_integrity() || error.kind() == ErrorKind::KeyMissing, "{change:?} {error}");
        assert_eq!(changed, before);
    }
    documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn what_is_not_sealed_is_never_taken_for_plaintext() {
    let documents = invoices();
    let document = sealed(&documents, 7).await;
    let (plain, damaged) = (ErrorKind::NotEncrypted, ErrorKind::Malformed);
    for (value, kind) in [
        (json!("eve@example.com"), plain),
        (json!(4), plain),
        (Value::Null, plain),
        (json!({"email": "ENC:AAAA"}), plain),
        (json!([document["customer"]["email"]]), plain),
        (json!("enc:AAAA"), plain),
        (json!("ENC:"), damaged),
        (json!("ENC: no"), damaged),
        (json!("ENC:AAAA"), ErrorKind::UnknownVersion),
    ] {
        let mut changed = document.clone();
        changed["customer"]["email"] = value;
        let error = refused(&documents, &changed, 7).await;
        assert_eq!(error.kind(), kind);
        assert_eq!(error.field_name(), Some("$.customer.email"));
    }
    // opened documents are not opened twice
    let mut opened = document;
    documents.decrypt_fields(&cryptor(), &mut opened, 7).await.unwrap();
    assert_eq!(refused(&documents, &opened, 7).await.kind(), ErrorKind::NotEncrypted);
}

#[tokio::test]
async fn nothing_is_sealed_twice() {
    let documents = invoices();
    let document = sealed(&documents, 7).await;
    let mut again = document.clone();
    let error = documents.encrypt_fields(&cryptor(), &mut again, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::State, Some("7")));
    assert_eq!(again, document);
    // one of them is enough
    let mut mixed = invoice();
    mixed["cards"][1]["number"] = document["cards"][1]["number"].clone();
    let before = mixed.clone();
    let error = documents.encrypt_fields(&cryptor(), &mut mixed, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::State, Some("$.cards[*].number")));
    assert_eq!(mixed, before);
    let text = documents.encrypt(&cryptor(), "x", 7).await.unwrap();
    assert_eq!(documents.encrypt(&cryptor(), &text, 7).await.unwrap_err().kind(), ErrorKind::State);
    // values of a newer release are sealed values too
    mixed["cards"][1]["number"] = "ENC:////".into();
    let error = documents.encrypt_fields(&cryptor(), &mut mixed, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    // what only looks like one is data
    mixed["cards"][1]["number"] = "ENC: 4222".into();
    let before = mixed.clone();
    documents.encrypt_fields(&cryptor(), &mut mixed, 7).await.unwrap();
    documents.decrypt_fields(&cryptor(), &mut mixed, 7).await.unwrap();
    assert_eq!(mixed, before);
}

#[tokio::test]
async fn two_paths_to_one_value_seal_it_once() {
    let documents = Documents::new("invoice").paths(["$.customer.email", "$['customer']['email']"]).unwrap();
    let documents = documents.paths(["$.customer.*", "$.cards[0].number"]).unwrap();
    let (cryptor, mut document) = (cryptor(), invoice());
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(cryptor.stats().sealed, 3);
    documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
    assert_eq!(cryptor.stats().opened, 3);
}

#[tokio::test]
async fn a_value_inside_another_chosen_one_is_refused() {
    for paths in [
        ["$.customer", "$.customer.email"],
        ["$.customer.email", "$.customer"],
        ["$.cards", "$.cards[*].number"],
        ["$", "$.total"],
    ] {
        let documents = Documents::new("invoice").paths(paths).unwrap();
        let mut document = invoice();
        let error = documents.encrypt_fields(&cryptor(), &mut document, 7).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(paths.iter().all(|path| error.to_string().contains(path)), "{error}");
        assert_eq!(document, invoice());
        // each alone is fine
        for path in paths {
            let documents = Documents::new("invoice").paths([path]).unwrap();
            let mut document = invoice();
            documents.encrypt_fields(&cryptor(), &mut document, 7).await.unwrap();
            assert_ne!(document, invoice());
            documents.decrypt_fields(&cryptor(), &mut document, 7).await.unwrap();
            assert_eq!(document, invoice());
        }
    }
    // names that begin alike are not inside each other
    let documents = Documents::new("names").paths(["$.a", "$.ab", "$['a\\'][\\'b']"]).unwrap();
    let original = json!({"a": 1, "ab": 2, "a']['b": 3});
    let mut document = original.clone();
    documents.encrypt_fields(&cryptor(), &mut document, 7).await.unwrap();
    documents.decrypt_fields(&cryptor(), &mut document, 7).await.unwrap();
    assert_eq!(document, original);
}

#[tokio::test]
async fn a_path_with_nothing_there_is_an_error_unless_it_may_be_missing() {
    let mut without = invoice();
    without["cards"] = json!([]);
    let before = without.clone();
    let error = invoices().encrypt_fields(&cryptor(), &mut without, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::PathNotFound, Some("$.cards[*].number")));
    assert_eq!(without, before, "the e-mail was there, and is not sealed alone");
    let sometimes = Documents::new("invoice")
        .paths(["$.customer.email"])
        .and_then(|documents| documents.optional_paths(["$.cards[*].number", "$.phone"]))
        .unwrap();
    sometimes.encrypt_fields(&cryptor(), &mut without, 7).await.unwrap();
    assert_sealed_text(without["customer"]["email"].as_str().unwrap());
    let mut sealed_once = without.clone();
    sealed_once.as_object_mut().unwrap().remove("customer");
    assert_eq!(refused(&sometimes, &sealed_once, 7).await.kind(), ErrorKind::PathNotFound);
    sometimes.decrypt_fields(&cryptor(), &mut without, 7).await.unwrap();
    assert_eq!(without, before);
}

#[tokio::test]
async fn chosen_paths_are_opened_and_others_stay_sealed() {
    let (documents, cryptor) = (invoices(), cryptor());
    let mut document = sealed(&documents, 7).await;
    let before = document.clone();
    documents.decrypt_only(&cryptor, &mut document, 7, ["$.cards[1].number"]).await.unwrap();
    assert_eq!(document["cards"][1]["number"], "4222222222222222");
    assert_eq!(document["cards"][0], before["cards"][0]);
    assert_eq!(document["customer"], before["customer"]);
    let missing =
        documents.decrypt_only(&cryptor, &mut document, 7, ["$.cards[2].number"]).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::PathNotFound);
    let wrong = documents.decrypt_only(&cryptor, &mut document, 7, ["$.total"]).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotEncrypted);
    assert!(documents.decrypt_only(&cryptor, &mut document, 7, ["$["]).await.is_err());
    let none = documents.decrypt_only::<&str>(&cryptor, &mut document, 7, []).await.unwrap_err();
    assert_eq!(none.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn settings_that_cannot_work_are_reported() {
    let (cryptor, mut document) = (cryptor(), invoice());
    let paths = ["$.total"];
    for (broken, kind) in [
        (Documents::new(""), ErrorKind::Configuration),
        (Documents::new("x").level(Level::One), ErrorKind::Configuration),
        (Documents::new("x").context(ctx!(tenant = "")), ErrorKind::InvalidContext),
    ] {
        let broken = broken.paths(paths).unwrap();
        let error = broken.encrypt_fields(&cryptor, &mut document, 1).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert_eq!(broken.encrypt(&cryptor, "x", 1).await.unwrap_err().kind(), kind);
        assert_eq!(broken.decrypt_fields(&cryptor, &mut document, 1).await.unwrap_err().kind(), kind);
    }
    let no_paths = Documents::new("x").encrypt_fields(&cryptor, &mut document, 1).await.unwrap_err();
    assert_eq!(no_paths.kind(), ErrorKind::Configuration);
    assert_eq!(Documents::new("x").paths(["$.a["]).unwrap_err().kind(), ErrorKind::InvalidPath);
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn a_thousand_values_and_a_thousand_documents_need_one_key_call() {
    let cryptor = cryptor();
    let documents = Documents::new("list").context(ctx!(tenant = "acme")).paths(["$[*]"]).unwrap();
    let original: Value = (0..1000).map(Value::from).collect();
    let mut document = original.clone();
    documents.encrypt_fields(&cryptor, &mut document, 1).await.unwrap();
    let mut many: Vec<(u32, Value)> = (2..1002).map(|id| (id, json!([id, null]))).collect();
    let before = many.clone();
    documents.encrypt_fields_of_all(&cryptor, &mut many).await.unwrap();
    assert!(many.iter().zip(&before).all(|(sealed, plain)| sealed != plain));
    assert_eq!((cryptor.stats().key_calls(), cryptor.stats().sealed), (1, 3000));

    let cryptor = self::cryptor();
    documents.decrypt_fields(&cryptor, &mut document, 1).await.unwrap();
    assert_eq!(document, original);
    documents.decrypt_fields_of_all(&cryptor, &mut many).await.unwrap();
    assert_eq!(many, before);
    assert_eq!((cryptor.stats().key_calls(), cryptor.stats().opened), (1, 3000));
}

#[tokio::test]
async fn a_batch_is_changed_as_a_whole_or_not_at_all() {
    let (_folder, cryptor) = cryptor_with_store();
    let documents = invoices();
    let mut batch = vec![(1, invoice()), (2, invoice()), (3, invoice())];
    batch[2].1["customer"].as_object_mut().unwrap().remove("email");
    let before = batch.clone();
    let error = documents.encrypt_fields_of_all(&cryptor, &mut batch).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::PathNotFound, Some("3")));
    assert_eq!(batch, before);

    batch.truncate(2);
    documents.encrypt_fields_of_all(&cryptor, &mut batch).await.unwrap();
    let sealed = batch.clone();
    let text = sealed[1].1["cards"][1]["number"].as_str().unwrap().to_owned();
    batch[1].1["cards"][1]["number"] = text.replacen(&text[60..64], "AAAA", 1).into();
    let before = batch.clone();
    let error = documents.decrypt_fields_of_all(&cryptor, &mut batch).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("2")));
    assert_eq!(error.field_name(), Some("$.cards[*].number"));
    assert_eq!(batch, before);
    batch = sealed;
    documents.decrypt_fields_of_all(&cryptor, &mut batch).await.unwrap();
    assert!(batch.iter().all(|(_, document)| *document == invoice()));
}

#[tokio::test]
async fn a_key_service_that_fails_changes_nothing() {
    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    let documents = invoices();
    let mut document = invoice();
    keyring.fail_with(ErrorKind::KeyUnavailable);
    let error = documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(document, invoice());
    keyring.recover();
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    let sealed = document.clone();

    let keyring = FailingKeyring::new(TestKeyring::new());
    let cryptor = Cryptor::envelope().keyring(keyring.clone()).build().unwrap();
    keyring.fail_with(ErrorKind::KeyUnavailable);
    assert!(documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap_err().is_retryable());
    assert_eq!(document, sealed);
    keyring.recover();
    documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn scopes_hold() {
    let acme = cryptor().scoped(ctx!(tenant = "acme"));
    let globex = cryptor().scoped(ctx!(tenant = "globex"));
    let documents = invoices();
    let mut document = invoice();
    let error = documents.encrypt_fields(&globex, &mut document, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::ContextMismatch, Some("7")));
    assert_eq!(documents.encrypt(&globex, "x", 7).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    assert_eq!(globex.stats().key_calls(), 0);
    documents.encrypt_fields(&acme, &mut document, 7).await.unwrap();
    let sealed = document.clone();
    let error = documents.decrypt_fields(&globex, &mut document, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    assert_eq!(document, sealed);
    let unbound = Documents::new("invoice").paths(["$.total"]).unwrap();
    let error = unbound.encrypt_fields(&acme, &mut document, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    documents.decrypt_fields(&acme, &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn modes_hold() {
    let documents = invoices();
    let (writer, reader) = (cryptor().limited_to(Mode::WriteOnly), cryptor().limited_to(Mode::ReadOnly));
    let mut document = invoice();
    let error = documents.encrypt_fields(&reader, &mut document, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Mode);
    assert!(error.to_string().contains("Cannot encrypt in ReadOnly mode"), "{error}");
    assert_eq!(documents.encrypt(&reader, "x", 7).await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(document, invoice());
    documents.encrypt_fields(&writer, &mut document, 7).await.unwrap();
    let text = documents.encrypt(&writer, "x", 7).await.unwrap();
    let sealed = document.clone();
    let error = documents.decrypt_fields(&writer, &mut document, 7).await.unwrap_err();
    assert!(error.to_string().contains("Cannot decrypt in WriteOnly mode"), "{error}");
    assert_eq!(documents.decrypt::<String>(&writer, &text, 7).await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(document, sealed);
    documents.decrypt_fields(&reader, &mut document, 7).await.unwrap();
    assert_eq!(documents.decrypt::<String>(&reader, &text, 7).await.unwrap(), "x");
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn every_value_is_an_event_and_no_event_holds_one() {
    let sink = CollectingSink::new();
    let cryptor = cryptor()
        .audited(Arc::new(sink.clone()), AuditFailure::Refuse)
        .acting_as(Access::new("user-5", Reason::Support));
    let documents = invoices();
    let mut document = invoice();
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    let key_id = Ciphertext::parse(document["customer"]["email"].as_str().unwrap()).unwrap().key_id();
    let events = sink.take();
    let fields: Vec<&str> = events.iter().map(|event| event.field.as_str()).collect();
    assert_eq!(fields, ["$.cards[*].number", "$.cards[*].number", "$.customer.email"]);
    for event in &events {
        assert_eq!((event.operation, event.model, event.level), (Operation::Seal, "invoice", 2));
        assert_eq!((event.row.as_deref(), event.key_id, event.refused), (Some("7"), Some(key_id), None));
        assert_eq!(event.access.as_ref().unwrap().actor, "user-5");
    }
    let sealed = document.clone();
    documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert!(sink.take().iter().all(|event| event.operation == Operation::Open && event.refused.is_none()));

    // what is refused, by whomever
    let mut wrong = sealed.clone();
    wrong["customer"]["email"] = sealed["cards"][0]["number"].clone();
    documents.decrypt_fields(&cryptor, &mut wrong, 7).await.unwrap_err();
    let refused: Vec<_> = sink.take().into_iter().map(|event| event.refused).collect();
    assert_eq!(refused, [None, None, Some(ErrorKind::Integrity)]);
    wrong["customer"]["email"] = 5.into();
    documents.decrypt_fields(&cryptor, &mut wrong, 7).await.unwrap_err();
    let events = sink.take();
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].refused, Some(ErrorKind::NotEncrypted));
    assert_eq!((events[0].field.as_str(), events[0].row.as_deref()), ("$.customer.email", Some("7")));
    let outside = cryptor.scoped(ctx!(tenant = "globex"));
    documents.encrypt(&outside, "x", 7).await.unwrap_err();
    assert_eq!(sink.take()[0].refused, Some(ErrorKind::ContextMismatch));
    let writer = cryptor.limited_to(Mode::WriteOnly);
    documents.decrypt::<Value>(&writer, sealed["customer"]["email"].as_str().unwrap(), 7).await.unwrap_err();
    assert_eq!(sink.take()[0].refused, Some(ErrorKind::Mode));

    // what can't be recorded is not done
    sink.set_failing(true);
    let mut unopened = sealed.clone();
    let error = documents.decrypt_fields(&cryptor, &mut unopened, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Audit);
    assert_eq!(unopened, sealed);
    assert_eq!(documents.encrypt(&cryptor, "x", 7).await.unwrap_err().kind(), ErrorKind::Audit);
}

#[tokio::test]
async fn names_of_members_stay_out_of_errors_and_events() {
    let sink = CollectingSink::new();
    let cryptor = cryptor().audited(Arc::new(sink.clone()), AuditFailure::Refuse);
    let documents = Documents::new("phones").paths(["$.phones.*"]).unwrap();
    let mut document = json!({"phones": {"ada@example.com": "555-0100"}});
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    let error = documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap_err();
    let moved = documents.decrypt_fields(&cryptor, &mut document, 8).await.unwrap_err();
    let shown = format!("{error} {error:?} {moved} {moved:?} {:?} {documents:?}", sink.take());
    assert_no_plaintext(&shown, &["ada@example.com", "555-0100"]);
    assert!(shown.contains("$.phones.*"));
}

#[tokio::test]
async fn level_three_needs_the_application_key_too() {
    let folder = tempfile::tempdir().unwrap();
    let start = |app_keys: &str| {
        Cryptor::envelope()
            .keyring(TestKeyring::new())
            .key_store(FileKeyStore::open(folder.path().join("keys")).unwrap())
            .app_keys(AppKeyFile::open_or_create(folder.path().join(app_keys)).unwrap())
            .build()
            .unwrap()
    };
    let (right, wrong) = (start("app-keys.json"), start("other-keys.json"));
    let documents = invoices().level(Level::Three);
    let mut document = invoice();
    documents.encrypt_fields(&right, &mut document, 7).await.unwrap();
    let sealed = document.clone();
    assert!(documents.decrypt_fields(&wrong, &mut document, 7).await.is_err());
    assert!(invoices().decrypt_fields(&right, &mut document, 7).await.unwrap_err().is_integrity());
    assert_eq!(document, sealed);
    documents.decrypt_fields(&right, &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn keyrings_are_chosen_by_name() {
    let build = |names: &[&'static str]| {
        let builder = Cryptor::envelope().keyring(TestKeyring::new());
        names
            .iter()
            .fold(builder, |builder, name| builder.named_keyring(*name, TestKeyring::new()))
            .build()
            .unwrap()
    };
    let documents = invoices().keyring("high");
    let mut document = invoice();
    let error = documents.encrypt_fields(&build(&[]), &mut document, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    documents.encrypt_fields(&build(&["high"]), &mut document, 7).await.unwrap();
    documents.decrypt_fields(&build(&["high"]), &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[tokio::test]
async fn documents_that_were_renamed_still_open() {
    let mut document = sealed(&invoices(), 7).await;
    let renamed = Documents::new("bill")
        .context(ctx!(tenant = "acme"))
        .paths(["$.customer.email", "$.cards[*].number"])
        .unwrap();
    assert_eq!(refused(&renamed, &document, 7).await.kind(), ErrorKind::Integrity);
    renamed.was(&["invoice"]).decrypt_fields(&cryptor(), &mut document, 7).await.unwrap();
    assert_eq!(document, invoice());
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Person {
    email: Value,
    age: u8,
    serial: u128,
}

fn ada() -> Person {
    Person { email: "ada@example.com".into(), age: 36, serial: u128::MAX }
}

#[tokio::test]
async fn whole_values_of_any_type_come_back() {
    let (documents, cryptor) = (invoices(), cryptor());
    let text = documents.encrypt(&cryptor, &ada(), 7).await.unwrap();
    assert_sealed_text(&text);
    assert_eq!(documents.decrypt::<Person>(&cryptor, &text, 7).await.unwrap(), ada());
    let texts = documents.encrypt_all(&cryptor, &[(1, "a"), (2, "b")]).await.unwrap();
    let pairs: Vec<(i32, &String)> = vec![(1, &texts[0]), (2, &texts[1])];
    let opened: Vec<String> = documents.decrypt_all(&cryptor, &pairs).await.unwrap();
    assert_eq!(opened, ["a", "b"]);
    let swapped: Vec<(i32, &String)> = vec![(1, &texts[1]), (2, &texts[0])];
    let error = documents.decrypt_all::<String, _, _>(&cryptor, &swapped).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.row_id(), error.field_name()),
        (ErrorKind::Integrity, Some("1"), Some("$"))
    );
    // the same as sealing the path `$`
    let root = Documents::new("invoice").context(ctx!(tenant = "acme")).paths(["$"]).unwrap();
    let small = documents.encrypt(&cryptor, &json!({"a": 1}), 7).await.unwrap();
    let mut document = Value::String(small);
    root.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(document, json!({"a": 1}));

    let error = documents.decrypt::<Vec<u8>>(&cryptor, &text, 7).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_no_plaintext(format!("{error} {error:?}"), &["ada@example.com", "340282366"]);
    for (text, kind) in
        [("ada", ErrorKind::NotEncrypted), ("ENC:x", ErrorKind::Malformed), ("", ErrorKind::NotEncrypted)]
    {
        assert_eq!(documents.decrypt::<Value>(&cryptor, text, 7).await.unwrap_err().kind(), kind);
    }
    let field = sealed(&documents, 7).await["customer"]["email"].as_str().unwrap().to_owned();
    assert_eq!(
        documents.decrypt::<Value>(&cryptor, &field, 7).await.unwrap_err().kind(),
        ErrorKind::Integrity
    );
}

#[tokio::test]
async fn fields_of_any_type_are_sealed_and_read_back() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u32,
        email: String,
        amounts: Vec<f64>,
    }
    let order = || Order { id: 3, email: "ada@example.com".into(), amounts: vec![0.1, 2.5] };
    let (documents, cryptor) =
        (Documents::new("order").paths(["$.email", "$.amounts[*]"]).unwrap(), cryptor());
    let document = documents.encrypt_fields_from(&cryptor, &order(), 3).await.unwrap();
    assert_eq!(document["id"], 3);
    assert_sealed_text(document["amounts"][1].as_str().unwrap());
    assert_eq!(documents.decrypt_fields_into::<Order>(&cryptor, &document, 3).await.unwrap(), order());
    let error = documents.decrypt_fields_into::<Vec<Order>>(&cryptor, &document, 3).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Malformed);
    assert_no_plaintext(format!("{error} {error:?}"), &["ada@example.com"]);
    assert!(documents.decrypt_fields_into::<Order>(&cryptor, &document, 4).await.unwrap_err().is_integrity());
    // beyond what a JSON value holds; `encrypt` writes text, which holds it
    assert_eq!(
        documents.encrypt_fields_from(&cryptor, &ada(), 3).await.unwrap_err().kind(),
        ErrorKind::InvalidDocument
    );
    let unwritable = BTreeMap::from([(vec!["ada@example.com"], 1)]);
    for error in [
        documents.encrypt_fields_from(&cryptor, &unwritable, 3).await.unwrap_err(),
        documents.encrypt(&cryptor, &unwritable, 3).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidDocument);
        assert_no_plaintext(format!("{error} {error:?}"), &["ada@example.com"]);
    }
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(Value::Null, |inner, index| match index % 2 {
        0 => Value::Array(vec![inner]),
        _ => Value::Object([("a".to_owned(), inner)].into_iter().collect()),
    })
}

/// The drop of a value nested as deep as this would fill the stack.
fn drop_gently(mut value: Value) {
    while value.is_array() || value.is_object() {
        value = match value {
            Value::Array(mut elements) => elements.pop().unwrap(),
            Value::Object(members) => members.into_iter().next().unwrap().1,
            other => other,
        };
    }
}

#[tokio::test]
async fn documents_may_be_nested_and_not_without_end() {
    let (documents, cryptor) = (Documents::new("deep").paths(["$.x"]).unwrap(), cryptor());
    let original = json!({"x": nested(126)});
    let mut document = original.clone();
    documents.encrypt_fields(&cryptor, &mut document, 1).await.unwrap();
    documents.decrypt_fields(&cryptor, &mut document, 1).await.unwrap();
    assert_eq!(document, original);
    let text = documents.encrypt(&cryptor, &original, 1).await.unwrap();
    assert_eq!(documents.decrypt::<Value>(&cryptor, &text, 1).await.unwrap(), original);
    for depth in [127, 128, 100_000] {
        for (mut document, others) in [(nested(depth), None), (nested(depth), Some(1))] {
            document = Value::Object([("x".to_owned(), document)].into_iter().collect());
            if let Some(other) = others {
                document = Value::Array(vec![other.into(), document]);
            }
            for error in [
                documents.encrypt_fields(&cryptor, &mut document, 1).await.unwrap_err(),
                documents.decrypt_fields(&cryptor, &mut document, 1).await.unwrap_err(),
                documents.encrypt(&cryptor, &document, 1).await.unwrap_err(),
                documents.encrypt_fields_from(&cryptor, &document, 1).await.unwrap_err(),
                documents.decrypt_fields_into::<Value>(&cryptor, &document, 1).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::InvalidDocument);
            }
            drop_gently(document);
        }
    }
}

#[tokio::test]
async fn a_value_has_at_most_a_mebibyte() {
    let (documents, cryptor) = (invoices(), cryptor());
    let fits = "x".repeat(1024 * 1024 - 2);
    let mut document = invoice();
    document["customer"]["email"] = fits.clone().into();
    documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    documents.decrypt_fields(&cryptor, &mut document, 7).await.unwrap();
    assert_eq!(document["customer"]["email"], fits);
    document["customer"]["email"] = format!("{fits}x").into();
    let before = document.clone();
    let error = documents.encrypt_fields(&cryptor, &mut document, 7).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("$.customer.email")));
    assert_eq!(document, before);
}

#[test]
fn the_work_may_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let (documents, cryptor) = (invoices(), cryptor());
    let (mut document, mut other, value) = (invoice(), invoice(), invoice());
    check(documents.encrypt_fields(&cryptor, &mut document, 7));
    check(documents.decrypt_fields(&cryptor, &mut other, "x"));
    check(documents.encrypt(&cryptor, &value, 7));
    check(documents.decrypt::<Value>(&cryptor, "x", 7));
}

//! `Masked` and `MaskedView`.

use std::collections::BTreeMap;

use pii::{
    Cryptor, EncryptedStr, ErrorKind, LocalKeyring, Masked, MaskedView, Mode, PiiModel, TestKeyring, ctx,
    testing::assert_no_plaintext,
};
use serde::Serialize;
use serde_json::{Value, json};

use crate::models::{Customer, PLAINTEXTS, ada, app_keys, cryptor, loaded};

/// What is seen where nothing was opened.
fn sealed_view() -> Value {
    json!({
        "id": 7,
        "tenant": "acme-tenant",
        "fullName": "A**** L****",
        "nickname": "E****",
        "born": "*****",
        "email": "*****",
        "ssn": "*****",
        "phones": ["*****"],
        "answers": "*****",
        "preferences": "*****",
        "home": { "street": "*****", "door": "*****67 A", "country": "GB" },
        "others": [
            { "street": "*****", "country": "GB" },
            { "street": "*****", "door": "*****", "country": "GB" }
        ],
        "city": "London"
    })
}

fn with_hints() -> Value {
    let mut view = sealed_view();
    view["email"] = json!("a****@example.com");
    view["home"]["street"] = json!("1****");
    view["others"][0]["street"] = json!("1****");
    view["others"][1]["street"] = json!("1****");
    view
}

#[tokio::test]
async fn a_model_of_the_program_is_masked_by_its_masks() {
    let masked = Masked(&ada()).to_json().unwrap();
    let mut expected = with_hints();
    expected["ssn"] = json!("*****3456");
    assert_eq!(masked, expected);
    assert_eq!(serde_json::to_value(Masked(&ada())).unwrap(), expected);
    assert_no_plaintext!(masked; PLAINTEXTS);
}

#[tokio::test]
async fn what_is_sealed_is_masked_in_full() {
    let cryptor = cryptor();
    let customer = loaded(&cryptor, &ada()).await;
    assert_eq!(Masked(&customer).to_json().unwrap(), sealed_view());
}

#[tokio::test]
async fn null_and_what_is_left_out_stay_so() {
    let mut customer = ada();
    customer.nickname = None;
    customer.ssn = None;
    customer.answers = BTreeMap::new();
    customer.others.clear();
    customer.home.door = None;
    let masked = Masked(&customer).to_json().unwrap();
    assert_eq!(masked.get("nickname"), None);
    assert_eq!(masked["home"].get("door"), None);
    assert_eq!(masked["ssn"], Value::Null);
    assert_eq!(masked["answers"], json!({}));
    assert_eq!(masked["others"], json!([]));
}

/// serde writes a personal field where its name does not say.
#[derive(PiiModel)]
#[pii(name = "moved", table = "moved")]
struct Moved {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    name: String,
    email: EncryptedStr,
}

impl Serialize for Moved {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let email: BTreeMap<&str, &EncryptedStr> = [("one", &self.email), ("two", &self.email)].into();
        BTreeMap::from([("elsewhere", json!(self.name)), ("email", serde_json::to_value(email).unwrap())])
            .serialize(serializer)
    }
}

#[test]
fn a_personal_field_that_is_elsewhere_is_refused() {
    let moved = Moved { id: 1, name: "Ada Lovelace".into(), email: EncryptedStr::new("ada@example.com") };
    let error = Masked(&moved).to_json().unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::PathNotFound, Some("name")), "{error}");
    assert_eq!(moved.id, 1);
    assert!(serde_json::to_string(&Masked(&moved)).is_err());
}

#[tokio::test]
async fn a_view_opens_nothing() {
    let cryptor = cryptor();
    let customers = vec![loaded(&cryptor, &ada()).await, loaded(&cryptor, &ada()).await];
    let before = cryptor.stats();
    let views = cryptor.masked(customers).await.unwrap();
    assert_eq!(views.len(), 2);
    assert_eq!(views[1].as_json(), &sealed_view());
    assert_eq!(cryptor.stats().opened, before.opened);
}

#[tokio::test]
async fn hints_open_what_masks_show_and_nothing_else() {
    let cryptor = cryptor();
    let customer = loaded(&cryptor, &ada()).await;
    let before = cryptor.stats().opened;
    let view = cryptor.masked_with_hints(vec![customer]).await.unwrap().remove(0);
    assert_eq!(view.as_json(), &with_hints());
    // the e-mail address and three streets; no phone, no answer, nothing WriteOnly
    assert_eq!(cryptor.stats().opened - before, 4);
    assert_no_plaintext!(view.as_json(), view.to_string(), format!("{view:?}"); PLAINTEXTS);
}

#[tokio::test]
async fn without_permission_hints_are_full_masks() {
    let cryptor = cryptor();
    let customer = loaded(&cryptor, &ada()).await;
    let writing = cryptor.limited_to(Mode::WriteOnly);
    let view = writing.masked_with_hints(vec![customer.clone()]).await.unwrap().remove(0);
    assert_eq!(view.as_json(), &sealed_view());
    assert_eq!(view.into_json(), cryptor.masked(vec![customer]).await.unwrap().remove(0).into_json());
}

/// A cryptor whose keys for the e-mail address are in this file.
fn with_email_keys(folder: &tempfile::TempDir, file: &str) -> Cryptor {
    Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("main", LocalKeyring::open_or_create(folder.path().join(file)).unwrap())
        .app_keys(app_keys())
        .build()
        .unwrap()
}

#[tokio::test]
async fn hints_of_other_fields_stay_where_one_key_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let writer = with_email_keys(&folder, "one.key");
    let customer = loaded(&writer, &ada()).await;
    let other = with_email_keys(&folder, "two.key");
    let view = other.masked_with_hints(vec![customer.clone()]).await.unwrap().remove(0);
    let mut expected = with_hints();
    expected["email"] = json!("*****");
    assert_eq!(view.as_json(), &expected);
    let view = writer.masked_with_hints(vec![customer]).await.unwrap().remove(0);
    assert_eq!(view.as_json(), &with_hints());
}

#[tokio::test]
async fn a_moved_value_is_no_matter_of_permission() {
    let cryptor = cryptor();
    let mut customer = loaded(&cryptor, &ada()).await;
    let other = loaded(&cryptor, &Customer { id: 8, ..ada() }).await;
    customer.email = EncryptedStr::from_ciphertext(other.email.ciphertext().unwrap().clone());
    let error = cryptor.masked_with_hints(vec![customer]).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("email")));
}

#[tokio::test]
async fn a_view_is_refused_outside_the_scope() {
    let cryptor = cryptor();
    let customer = loaded(&cryptor, &ada()).await;
    let elsewhere = cryptor.scoped(ctx!(tenant = "initech"));
    let error = elsewhere.masked(vec![customer.clone()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    let here = cryptor.scoped(ctx!(tenant = "acme-tenant"));
    assert_eq!(here.masked(vec![customer]).await.unwrap().len(), 1);
}

#[test]
fn printed_views_hide_the_context() {
    let view = MaskedView::of(&ada()).unwrap();
    assert_eq!(view.as_json()["tenant"], "acme-tenant");
    for printed in [view.to_string(), format!("{view:?}")] {
        assert!(printed.contains("A**** L****") && printed.contains("<context>"), "{printed}");
        assert!(!printed.contains("acme-tenant"), "{printed}");
    }
}

#[derive(Serialize)]
struct Line {
    #[serde(serialize_with = "pii::masked::serialize")]
    phone: Option<EncryptedStr>,
    #[serde(serialize_with = "pii::masked::serialize")]
    emails: Vec<EncryptedStr>,
    #[serde(serialize_with = "pii::masked::serialize")]
    answers: BTreeMap<String, EncryptedStr>,
}

#[test]
fn fields_of_bodies_are_masked_in_full() {
    let line = Line {
        phone: None,
        emails: vec![EncryptedStr::new("ada@example.com"), EncryptedStr::from_stored("ENC:AgE")],
        answers: ada().answers,
    };
    assert_eq!(
        serde_json::to_value(&line).unwrap(),
        json!({ "phone": null, "emails": ["*****", "*****"], "answers": "*****" })
    );
}

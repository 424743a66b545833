//! Models as people and other programs see them: in clear where a program says so, and masked.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

use std::collections::BTreeMap;

use pii::{Cryptor, Encrypted, EncryptedStr, FileKeyStore, Json, Masked, PiiModel, Revealed, TestKeyring};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(nested)]
#[serde(rename_all = "camelCase")]
struct Address {
    city: String,
    #[pii(mask = "first")]
    street_name: EncryptedStr,
    #[pii(level = 1, mask = "first")]
    door: String,
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", table = "customers", was = "client", context(app = "tests", tenant = self.tenant))]
#[serde(rename_all = "camelCase")]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 1, mask = "name")]
    full_name: String,
    #[pii(level = 1)]
    nickname: Option<String>,
    #[pii(mask = "email", blind_index(normalize = "email", bits = 16))]
    email: EncryptedStr,
    #[pii(mask = "last4", mode = "WriteOnly", pad = 16)]
    ssn: Option<EncryptedStr>,
    salary: Encrypted<i64>,
    is_vip: Encrypted<bool>,
    settings: Encrypted<Json<BTreeMap<String, u8>>>,
    phones: Vec<EncryptedStr>,
    #[pii(nested)]
    address: Option<Address>,
}

fn ada() -> Customer {
    Customer {
        id: 1,
        tenant: "acme".into(),
        full_name: "Ada Lovelace".into(),
        nickname: None,
        email: EncryptedStr::new("ada@example.com"),
        ssn: None,
        salary: Encrypted::of(52_000),
        is_vip: Encrypted::of(true),
        settings: Encrypted::json(&BTreeMap::from([("theme".to_owned(), 3)])).unwrap(),
        phones: vec![EncryptedStr::new("+44 20 7946")],
        address: Some(Address {
            city: "London".into(),
            street_name: EncryptedStr::new("St James"),
            door: "Door 12".into(),
        }),
    }
}

async fn stored() -> Customer {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap();
    let mut sealed = ada();
    sealed.ssn = Some(EncryptedStr::new("123-45-6789"));
    let stored = serde_json::to_value(cryptor.sealed(&sealed).await.unwrap()).unwrap();
    serde_json::from_value(stored).unwrap()
}

#[test]
fn what_is_revealed_has_the_types_of_its_values() {
    let shown = serde_json::to_value(Revealed(&ada())).unwrap();
    assert_eq!(
        shown,
        json!({
            "id": 1, "tenant": "acme", "fullName": "Ada Lovelace", "nickname": null, "email": "ada@example.com",
            "ssn": null, "salary": 52_000, "isVip": true, "settings": { "theme": 3 }, "phones": ["+44 20 7946"],
            "address": { "city": "London", "streetName": "St James", "door": "Door 12" }
        })
    );
    // and outside of it nothing is
    assert!(serde_json::to_value(ada()).is_err());
}

#[test]
fn what_is_masked_shows_what_the_masks_show() {
    let shown = serde_json::to_value(Masked(&ada())).unwrap();
    assert_eq!(
        shown,
        json!({
            "id": 1, "tenant": "acme", "fullName": "A**** L****", "nickname": "*****", "email": "a****@example.com",
            "ssn": null, "salary": "*****", "isVip": "*****", "settings": "*****", "phones": ["*****"],
            "address": { "city": "London", "streetName": "S****", "door": "D****" }
        })
    );
}

#[tokio::test]
async fn what_is_sealed_is_masked_in_full_and_not_revealed() {
    let sealed = stored().await;
    let shown = serde_json::to_value(Masked(&sealed)).unwrap();
    assert_eq!((&shown["email"], &shown["ssn"]), (&json!("*****"), &json!("*****")));
    assert_eq!(shown["fullName"], json!("A**** L****"));
    let error = serde_json::to_value(Revealed(&sealed)).unwrap_err().to_string();
    assert!(error.contains("customer.email") && error.contains("not opened"), "{error}");
}

#[test]
fn lists_of_models_serialise_each_by_itself() {
    let customers = [ada(), ada()];
    let shown: Vec<_> = customers.iter().map(Masked).collect();
    let text = serde_json::to_string(&shown).unwrap();
    assert!(!text.contains("ada@") && !text.contains("Lovelace"), "{text}");
}

#[derive(Serialize)]
struct Answer {
    #[serde(serialize_with = "pii::revealed")]
    email: EncryptedStr,
    #[serde(serialize_with = "pii::masked")]
    ssn: Option<EncryptedStr>,
}

#[test]
fn single_fields_are_revealed_and_masked_where_a_struct_says_so() {
    let answer =
        Answer { email: EncryptedStr::new("ada@example.com"), ssn: Some(EncryptedStr::new("123-45-6789")) };
    assert_eq!(serde_json::to_value(&answer).unwrap(), json!({ "email": "ada@example.com", "ssn": "*****" }));
}

#[test]
fn the_schema_is_stable() {
    let schema: serde_json::Value = serde_json::from_str(&Customer::pii_schema().unwrap()).unwrap();
    assert_eq!(schema["model"], "customer");
    assert_eq!(schema["was"], json!(["client"]));
    assert_eq!(
        schema["context"],
        json!([
            { "name": "app", "literal": "tests", "column": null },
            { "name": "tenant", "literal": null, "column": "tenant" }
        ])
    );
    let fields = schema["fields"].as_array().unwrap();
    let paths: Vec<&str> = fields.iter().map(|field| field["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "full_name",
            "nickname",
            "email",
            "ssn",
            "salary",
            "is_vip",
            "settings",
            "phones",
            "address.street_name",
            "address.door"
        ]
    );
    assert_eq!(
        fields[3],
        json!({
            "path": "ssn", "column": "ssn", "attribute": "ssn", "was": [], "level": 2, "is_sealed": true, "type": "text",
            "is_many": false, "mode": "WriteOnly", "mask": "last4", "keyring": null, "plaintext": "reject",
            "legacy": null, "pad": 16, "blind_indexes": []
        })
    );
    assert_eq!(fields[2]["blind_indexes"], json!(["email"]));
    assert_eq!(
        schema["blind_indexes"],
        json!([{
            "name": "email", "fields": [{ "field": "email", "normalize": ["email"] }], "bits": 16, "is_unique": false,
            "scope": "context", "versions": [{ "number": 1, "column": "email_bidx", "attribute": "email_bidx" }]
        }])
    );
}

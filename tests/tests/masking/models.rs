//! The JSON of models, masked by the masks of their fields.

use std::collections::BTreeMap;

use pii::{Cryptor, Encrypted, EncryptedStr, ErrorKind, Json, Masker, MissingPath, PiiModel, TestKeyring};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(PiiModel, Serialize)]
#[pii(name = "customer", table = "customers", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(level = 1, mask = "name", column = "full_name")]
    #[serde(rename = "full_name")]
    name: String,
    #[pii(level = 1, mask = "last4")]
    #[serde(rename = "tax-id")]
    tax_id: Option<String>,
    #[pii(level = 1, mask = "last4")]
    numbers: Vec<String>,
    #[pii(level = 1)]
    born: u64,
    #[pii(mask = "email")]
    email: EncryptedStr,
    phones: Vec<EncryptedStr>,
    answers: BTreeMap<String, EncryptedStr>,
    preferences: Encrypted<Json<Vec<u8>>>,
    #[pii(nested)]
    home: Address,
    #[pii(nested)]
    others: Vec<Address>,
    #[pii(nested)]
    invoice: Option<Address>,
    city: String,
}

#[derive(PiiModel, Serialize)]
#[pii(nested)]
struct Address {
    #[pii(mask = "first")]
    street: EncryptedStr,
    #[pii(level = 1, mask = "last4")]
    door: String,
    country: String,
}

fn address(door: &str) -> Address {
    Address { street: EncryptedStr::new("12 St James's Square"), door: door.into(), country: "GB".into() }
}

fn ada() -> Customer {
    Customer {
        id: 7,
        tenant: "acme".into(),
        name: "Ada Lovelace".into(),
        tax_id: Some("900-12-3456".into()),
        numbers: vec!["1234567890".into()],
        born: 18_151_210,
        email: EncryptedStr::new("ada@example.com"),
        phones: vec![EncryptedStr::new("555-0100")],
        answers: BTreeMap::from([("pet".into(), EncryptedStr::new("Puff"))]),
        preferences: Encrypted::json(&vec![1]).unwrap(),
        home: address("1234567 A"),
        others: vec![address("7654321 B"), address("9")],
        invoice: None,
        city: "London".into(),
    }
}

fn shown() -> Value {
    let address = |door: &str| json!({ "street": "*****", "door": door, "country": "GB" });
    json!({
        "id": 7,
        "tenant": "acme",
        "full_name": "A**** L****",
        "tax-id": "*****3456",
        "numbers": ["*****"],
        "born": "*****",
        "email": "*****",
        "phones": ["*****"],
        "answers": "*****",
        "preferences": "*****",
        "home": address("*****67 A"),
        "others": [address("*****21 B"), address("*****")],
        "invoice": null,
        "city": "London"
    })
}

async fn as_stored(customer: &Customer) -> Value {
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    serde_json::to_value(cryptor.sealed(customer).await.unwrap()).unwrap()
}

#[tokio::test]
async fn every_personal_field_is_masked_and_nothing_else() {
    let masker = Masker::of::<Customer>().unwrap();
    let stored = as_stored(&ada()).await;
    assert!(stored["email"].as_str().unwrap().starts_with("ENC:"));
    let mut document = stored.clone();
    let report = masker.mask(&mut document).unwrap();
    assert_eq!(document, shown());
    assert_eq!(report.rules().len(), 14, "{report:?}");
    assert_eq!(report.missing().count(), 0);

    // a plain value of a sealed field has no JSON, so there is nothing to mask
    assert_eq!(masker.mask_serialize(&ada()).unwrap_err().kind(), ErrorKind::InvalidDocument);
}

#[tokio::test]
async fn texts_in_clear_are_shown_as_the_derived_debug_shows_them() {
    let mut document = as_stored(&ada()).await;
    document["email"] = json!("ada@example.com");
    document["home"]["street"] = json!("12 St James's Square");
    let masked = Masker::of::<Customer>().unwrap().masked(&document).unwrap();
    assert_eq!(masked["email"], "a****@example.com");
    assert_eq!(masked["home"]["street"], "1****");
    let debug = format!("{:?}", ada());
    for text in ["a****@example.com", "<plain 1****>", "A**** L****", "*****3456", "*****67 A"] {
        assert!(debug.contains(text), "{debug}");
    }
}

#[tokio::test]
async fn empty_and_absent_holders_are_no_mistake_and_other_names_are() {
    let masker = Masker::of::<Customer>().unwrap();
    let mut document = as_stored(&Customer { others: vec![], phones: vec![], ..ada() }).await;
    document["home"] = Value::Null;
    assert!(masker.masked(&document).is_ok());

    let email = document.as_object_mut().unwrap().remove("email").unwrap();
    document["e_mail"] = email;
    let error = masker.masked(&document).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PathNotFound);
    assert!(error.to_string().contains("`$['email']`"), "{error}");

    let by_name = Masker::builder()
        .model_with::<Customer>("$", |field| {
            if field.name() == "email" { "e_mail" } else { field.column() }.into()
        })
        .unwrap()
        .build();
    assert_eq!(by_name.masked(&document).unwrap()["e_mail"], "*****");

    document["others"] = json!([{ "strasse": "12 St James's Square", "door": "1" }]);
    assert_eq!(masker.masked(&document).unwrap_err().kind(), ErrorKind::PathNotFound);
}

#[tokio::test]
async fn models_inside_a_document_are_masked_where_they_are() {
    let masker =
        Masker::builder().model_at::<Customer>("page.rows[*]").unwrap().path("note").unwrap().build();
    let row = as_stored(&ada()).await;
    let document = json!({ "page": { "rows": [row.clone(), row] }, "note": "x" });
    let expected = json!({ "page": { "rows": [shown(), shown()] }, "note": "*****" });
    assert_eq!(masker.masked(&document).unwrap(), expected);
    assert!(masker.masked(&json!({ "page": { "rows": [] }, "note": "x" })).is_ok());
    assert!(masker.masked(&json!({ "page": { "lines": [] }, "note": "x" })).is_err());
}

#[test]
fn what_a_document_leaves_out_may_be_missing_on_request() {
    let document = json!({ "email": "ada@example.com" });
    let lenient = Masker::builder().model::<Customer>().unwrap().missing(MissingPath::Ignore).build();
    assert_eq!(lenient.masked(&document).unwrap(), json!({ "email": "a****@example.com" }));
    assert_eq!(
        Masker::of::<Customer>().unwrap().masked(&document).unwrap_err().kind(),
        ErrorKind::PathNotFound
    );
}

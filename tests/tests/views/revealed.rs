//! `Revealed`.

use pii::{Cryptor, EncryptedStr, Revealed};
use serde::Serialize;
use serde_json::{Value, json};

use crate::models::{PLAINTEXTS, ada, cryptor, loaded};

fn in_clear() -> Value {
    json!({
        "id": 7,
        "tenant": "acme-tenant",
        "fullName": "Ada Lovelace",
        "nickname": "Enchantress",
        "born": 18_151_210,
        "email": "ada@example.com",
        "ssn": "900-12-3456",
        "phones": ["555-0100"],
        "answers": { "pet-of-Ada": "Puff-the-dog" },
        "preferences": [1, 2],
        "home": { "street": "12 St James's Square", "door": "1234567 A", "country": "GB" },
        "others": [
            { "street": "12 St James's Square", "country": "GB" },
            { "street": "12 St James's Square", "door": "9", "country": "GB" }
        ],
        "city": "London"
    })
}

#[tokio::test]
async fn a_model_of_the_program_is_written_in_clear() {
    assert!(serde_json::to_value(ada()).is_err());
    assert_eq!(serde_json::to_value(Revealed(&ada())).unwrap(), in_clear());
    assert!(serde_json::to_value(ada()).is_err(), "the scope ends with the wrapper");
}

#[tokio::test]
async fn a_loaded_model_is_written_in_clear_once_it_was_opened() {
    let cryptor = cryptor();
    let mut customer = loaded(&cryptor, &ada()).await;
    let error = serde_json::to_value(Revealed(&customer)).unwrap_err().to_string();
    assert!(error.starts_with("customer.email: ") && error.contains("decrypt_pii"), "{error}");

    cryptor.open(std::slice::from_mut(&mut customer)).await.unwrap();
    // WriteOnly stays sealed
    let error = serde_json::to_value(Revealed(&customer)).unwrap_err().to_string();
    assert!(error.starts_with("customer.ssn: ") && error.contains("or_masked"), "{error}");
    let mut expected = in_clear();
    expected["ssn"] = json!("*****");
    assert_eq!(serde_json::to_value(Revealed(&customer).or_masked()).unwrap(), expected);

    // by itself it still serialises as it is stored
    assert!(serde_json::to_value(&customer).unwrap()["email"].as_str().unwrap().starts_with("ENC:"));
}

#[tokio::test]
async fn the_field_inside_a_nested_struct_is_named() {
    let cryptor = cryptor();
    let mut customer = ada();
    customer.others[1].street = loaded(&cryptor, &ada()).await.others[1].street.clone();
    let error = serde_json::to_value(Revealed(&customer)).unwrap_err().to_string();
    assert!(error.starts_with("customer.others.street: "), "{error}");
}

#[derive(Serialize)]
struct Body {
    #[serde(serialize_with = "pii::revealed::serialize")]
    emails: Vec<EncryptedStr>,
    #[serde(serialize_with = "pii::revealed::serialize")]
    phone: Option<EncryptedStr>,
}

#[tokio::test]
async fn fields_of_bodies_are_written_in_clear() {
    let mut body = Body { emails: vec![EncryptedStr::new("ada@example.com")], phone: None };
    assert_eq!(serde_json::to_value(&body).unwrap(), json!({ "emails": ["ada@example.com"], "phone": null }));
    body.phone = Some(loaded(&cryptor(), &ada()).await.phones.remove(0));
    assert!(serde_json::to_string(&body).unwrap_err().to_string().contains("sealed"));
}

#[tokio::test]
async fn one_value_is_written_in_clear() {
    let value = EncryptedStr::new("ada@example.com");
    assert_eq!(serde_json::to_value(value.revealed()).unwrap(), "ada@example.com");
    let sealed = loaded(&cryptor(), &ada()).await.email;
    assert!(serde_json::to_value(sealed.revealed()).unwrap_err().to_string().contains("sealed"));
}

/// A model that would store one of its fields in clear.
#[derive(pii::PiiModel, Serialize)]
#[pii(name = "leak", table = "leaks")]
struct Leak {
    #[pii(id)]
    id: i64,
    #[serde(serialize_with = "pii::revealed::serialize")]
    email: EncryptedStr,
}

#[tokio::test]
async fn what_is_stored_is_never_in_clear() {
    let cryptor = Cryptor::envelope().keyring(pii::TestKeyring::new()).build().unwrap();
    let leak = Leak { id: 1, email: EncryptedStr::new("ada@example.com") };
    let sealed = cryptor.sealed(&leak).await.unwrap();
    let error = serde_json::to_string(&sealed).unwrap_err().to_string();
    assert!(error.contains("to be stored"), "{error}");
    assert_eq!(
        serde_json::to_value(Revealed(&leak)).unwrap(),
        json!({ "id": 1, "email": "ada@example.com" })
    );
}

#[test]
fn debug_masks() {
    let ada = ada();
    let printed = format!("{:?} {:?} {:?}", Revealed(&ada), Revealed(&ada).or_masked(), ada.email.revealed());
    for plaintext in PLAINTEXTS {
        assert!(!printed.contains(plaintext), "{printed}");
    }
}

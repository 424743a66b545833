//! The models of these tests.

use std::collections::BTreeMap;

use pii::{AppKeys, Cryptor, Encrypted, EncryptedStr, Json, PiiModel, TestKeyring};
use serde::{Deserialize, Serialize};

pub(crate) const PLAINTEXTS: [&str; 6] =
    ["ada@example.com", "900-12-3456", "555-0100", "pet-of-Ada", "Puff-the-dog", "12 St James's Square"];

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "customer", was = "client", table = "customers")]
#[pii(context(app = "shop", tenant = self.tenant))]
pub(crate) struct Customer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    #[pii(level = 1, mask = "name", column = "full_name")]
    #[serde(rename = "fullName")]
    pub(crate) name: String,
    #[pii(level = 1, mask = "first")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) nickname: Option<String>,
    #[pii(level = 1)]
    pub(crate) born: u32,
    #[pii(mask = "email", was = "mail", keyring = "main", plaintext = "accept_and_seal")]
    pub(crate) email: EncryptedStr,
    #[pii(level = 3, mode = "WriteOnly", mask = "last4")]
    pub(crate) ssn: Option<EncryptedStr>,
    pub(crate) phones: Vec<EncryptedStr>,
    pub(crate) answers: BTreeMap<String, EncryptedStr>,
    pub(crate) preferences: Encrypted<Json<Vec<u8>>>,
    #[pii(nested)]
    pub(crate) home: Address,
    #[pii(nested)]
    pub(crate) others: Vec<Address>,
    pub(crate) city: String,
}

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(nested)]
pub(crate) struct Address {
    #[pii(mask = "first")]
    pub(crate) street: EncryptedStr,
    #[pii(level = 1, mask = "last4")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) door: Option<String>,
    pub(crate) country: String,
}

pub(crate) fn address(door: Option<&str>) -> Address {
    Address {
        street: EncryptedStr::new("12 St James's Square"),
        door: door.map(str::to_owned),
        country: "GB".into(),
    }
}

pub(crate) fn ada() -> Customer {
    Customer {
        id: 7,
        tenant: "acme-tenant".into(),
        name: "Ada Lovelace".into(),
        nickname: Some("Enchantress".into()),
        born: 18_151_210,
        email: EncryptedStr::new("ada@example.com"),
        ssn: Some(EncryptedStr::new("900-12-3456")),
        phones: vec![EncryptedStr::new("555-0100")],
        answers: BTreeMap::from([("pet-of-Ada".into(), EncryptedStr::new("Puff-the-dog"))]),
        preferences: Encrypted::json(&vec![1, 2]).unwrap(),
        home: address(Some("1234567 A")),
        others: vec![address(None), address(Some("9"))],
        city: "London".into(),
    }
}

pub(crate) fn cryptor() -> Cryptor {
    let keys = app_keys();
    Cryptor::envelope()
        .keyring(TestKeyring::new())
        .named_keyring("main", TestKeyring::new())
        .app_keys(keys)
        .build()
        .unwrap()
}

/// As a store that knows serde would give it back.
pub(crate) async fn loaded(cryptor: &Cryptor, customer: &Customer) -> Customer {
    let stored = serde_json::to_value(cryptor.sealed(customer).await.unwrap()).unwrap();
    serde_json::from_value(stored).unwrap()
}

pub(crate) fn app_keys() -> AppKeys {
    AppKeys::from_json(
        r#"{"app_encryption_keys": { "key_v1": "0123456789abcdef0123456789abcdef", "current_version": 1 }}"#,
    )
    .unwrap()
}

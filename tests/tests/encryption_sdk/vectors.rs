//! What Powertools wrote.

use std::{collections::BTreeMap, fs};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use pii::{EncryptionSdk, ErrorKind, Powertools, ServiceContext};
use serde::Deserialize;
use serde_json::Value;

use super::{reference, service::Service};

#[derive(Deserialize)]
struct File {
    ciphertexts: Vec<Vector>,
}

#[derive(Deserialize)]
pub struct Vector {
    pub name: String,
    pub ciphertext_b64: String,
    pub context: BTreeMap<String, String>,
    pub plaintext_json: String,
    pub keys: Vec<String>,
    data_key_hex: String,
    message_bytes: usize,
}

impl Vector {
    pub fn all() -> Vec<Self> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/aws-encryption-sdk.json");
        let file: File = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(file.ciphertexts.len(), 10);
        file.ciphertexts
    }

    pub fn message(&self) -> Vec<u8> {
        let message = STANDARD.decode(&self.ciphertext_b64).unwrap();
        assert_eq!(message.len(), self.message_bytes);
        message
    }

    /// A service that knows the data key of this message, wrapped as it is there.
    pub fn service(&self) -> Service {
        let service = Service::default();
        let header = reference::header(&self.message());
        let data_key: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&self.data_key_hex[at..at + 2], 16).unwrap())
            .collect();
        for [provider, key, blob] in &header.data_keys {
            assert_eq!(provider, b"aws-kms");
            service.put(std::str::from_utf8(key).unwrap(), blob, header.context.clone(), &data_key);
        }
        service
    }

    pub fn messages(&self, service: &Service) -> EncryptionSdk {
        let builder = EncryptionSdk::builder(service.clone());
        self.keys.iter().fold(builder, |builder, key| builder.key(key)).build().unwrap()
    }
}

#[tokio::test]
async fn every_vector_opens_with_one_call_and_once_more_with_none() {
    for vector in Vector::all() {
        let service = vector.service();
        let messages = vector.messages(&service);
        let opened = messages.decrypt(&vector.message(), &vector.context).await.unwrap();
        assert_eq!(opened.expose(), vector.plaintext_json.as_bytes(), "{}", vector.name);
        let expected: Value = serde_json::from_str(&vector.plaintext_json).unwrap();
        let data_masker = Powertools::new(messages);
        let value = data_masker.decrypt(&vector.ciphertext_b64, &vector.context).await.unwrap();
        assert_eq!(value, expected, "{}", vector.name);
        assert_eq!(service.calls(), [0, 0, 1], "{}", vector.name);
    }
}

#[tokio::test]
async fn any_one_of_the_keys_opens_and_no_other() {
    for vector in Vector::all() {
        for key in &vector.keys {
            let service = vector.service();
            let messages = EncryptionSdk::builder(service.clone()).decrypt_only(key).build().unwrap();
            let opened = messages.decrypt(&vector.message(), &vector.context).await.unwrap();
            assert_eq!(opened.expose(), vector.plaintext_json.as_bytes(), "{}", vector.name);
            assert_eq!(service.calls(), [0, 0, 1], "{}", vector.name);
        }
        let service = vector.service();
        let error = service.messages().decrypt(&vector.message(), &vector.context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing, "{}", vector.name);
        assert_eq!(service.calls(), [0; 3], "a key that is not named is not asked");
    }
}

#[tokio::test]
async fn another_context_is_refused_before_any_key_is_asked() {
    for vector in Vector::all() {
        let service = vector.service();
        let messages = vector.messages(&service);
        let mut contexts: Vec<ServiceContext> = Vec::new();
        let with = |name: &str, value: &str| {
            let mut context = vector.context.clone();
            context.insert(name.to_owned(), value.to_owned());
            context
        };
        contexts.push(with("more", "than that"));
        for name in vector.context.keys() {
            contexts.push(with(name, "canary-value"));
            contexts.push(with(name, ""));
            let mut less = vector.context.clone();
            less.remove(name);
            contexts.push(less);
        }
        for context in contexts {
            let error = messages.decrypt(&vector.message(), &context).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContextMismatch, "{}", vector.name);
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
        assert_eq!(service.calls(), [0; 3], "{}", vector.name);
        messages.decrypt(&vector.message(), &vector.context).await.unwrap();
    }
}

//! What is written, and how it is read.

use std::collections::HashSet;

use pii::{EncryptionSdk, ErrorKind, KeyService as _, Powertools, ServiceContext};
use serde_json::{Value, json};

use super::{
    reference,
    service::{KEY, Service, context},
};

/// The data key of a message, from the service.
async fn data_key(service: &Service, header: &reference::Header) -> [u8; 32] {
    let [_, key, blob] = &header.data_keys[0];
    let key = std::str::from_utf8(key).unwrap();
    let opened = service.decrypt(Some(key), blob, &header.context).await.unwrap();
    opened.expose().try_into().unwrap()
}

#[tokio::test]
async fn a_reader_that_shares_no_code_opens_messages_of_all_lengths() {
    let service = Service::default();
    let messages = service.messages();
    let contexts = [ServiceContext::new(), context(&[("tenant", "acme"), ("région", "é"), ("a", "")])];
    for context in &contexts {
        for length in [0, 1, 15, 16, 4095, 4096, 4097, 8191, 8192, 8193, 100_000] {
            let plaintext: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            let message = messages.encrypt(&plaintext, context).await.unwrap();
            let header = reference::header(&message);
            assert_eq!((header.suite, header.content_type, header.frame_bytes), ([4, 0x78], 2, 4096));
            assert_eq!(&header.context, context, "exactly the caller's");
            assert_eq!(header.data_keys.len(), 1);
            assert_eq!(header.data_keys[0][0], b"aws-kms");
            assert_eq!(header.data_keys[0][1], KEY.as_bytes());
            let data_key = data_key(&service, &header).await;
            assert!(reference::open(&message, &data_key) == plaintext, "{length} bytes");
            let opened = messages.decrypt(&message, context).await.unwrap();
            assert!(opened.expose() == plaintext, "{length} bytes");
        }
    }
}

#[tokio::test]
async fn messages_under_one_data_key_have_keys_of_their_own() {
    let service = Service::default();
    let messages = service.messages();
    let context = context(&[("tenant", "acme")]);
    let (mut ids, mut bodies) = (HashSet::new(), HashSet::new());
    for _ in 0..100 {
        let message = messages.encrypt(b"the same", &context).await.unwrap();
        let header = reference::header(&message);
        ids.insert(header.message_id);
        bodies.insert(message[header.length..].to_vec());
    }
    assert_eq!((ids.len(), bodies.len(), service.calls()), (100, 100, [1, 0, 0]));
}

#[tokio::test]
async fn values_of_powertools_go_there_and_back() {
    let service = Service::default();
    let data_masker = Powertools::new(service.messages());
    let context = context(&[("data_classification", "confidential")]);
    let values = [
        json!(null),
        json!(true),
        json!(-1.11),
        json!(18_446_744_073_709_551_615_u64),
        json!("Zoë 東京 👩"),
        json!([1, 2, "a string", 3.4, []]),
        json!({"a": {"1": {"None": "hello"}}, "": {}}),
    ];
    for value in values {
        let text = data_masker.encrypt(&value, &context).await.unwrap();
        assert_eq!(data_masker.decrypt(&text, &context).await.unwrap(), value);
    }
    assert_eq!(data_masker.decrypt("", &context).await.unwrap_err().kind(), ErrorKind::Malformed);
    let text = data_masker.encrypt("text", &context).await.unwrap();
    for wrong in [format!("{text} "), format!("{text}\n"), format!("{text}="), text.replace('/', "_") + "-"] {
        assert_eq!(data_masker.decrypt(&wrong, &context).await.unwrap_err().kind(), ErrorKind::Malformed);
    }
    assert_eq!(data_masker.decrypt(&text, &context).await.unwrap(), Value::from("text"));
}

#[tokio::test]
async fn json_that_a_value_would_change_is_refused() {
    let service = Service::default();
    let messages = service.messages();
    let data_masker = Powertools::new(messages.clone());
    let context = ServiceContext::new();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for text in ["NaN", "-Infinity", "123456789012345678901234567890", r#"{"a":1,"a":2}"#, "1 2", "", &deep] {
        let message = messages.encrypt(text.as_bytes(), &context).await.unwrap();
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let error = data_masker.decrypt(&STANDARD.encode(&message), &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidDocument, "{error}");
        assert_eq!(messages.decrypt(&message, &context).await.unwrap().expose(), text.as_bytes());
    }
}

#[tokio::test]
async fn what_is_longer_than_the_limit_is_refused_both_ways() {
    let service = Service::default();
    let messages = service.messages();
    let context = ServiceContext::new();
    let message = messages.encrypt(&[0; 1000], &context).await.unwrap();
    let limited =
        |bytes| EncryptionSdk::builder(service.clone()).key(KEY).max_message_bytes(bytes).build().unwrap();
    let before = service.calls();
    let error = limited(message.len() - 1).decrypt(&message, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(limited(999).encrypt(&[0; 1000], &context).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let text = "A".repeat(100_000);
    let error = Powertools::new(limited(999)).decrypt(&text, &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(service.calls(), before);
    limited(message.len()).decrypt(&message, &context).await.unwrap();
    limited(1000).encrypt(&[0; 1000], &context).await.unwrap();
    // megabytes are one message
    let plaintext = vec![7; 5_000_000];
    let message = messages.encrypt(&plaintext, &context).await.unwrap();
    assert!(messages.decrypt(&message, &context).await.unwrap().expose() == plaintext);
}

#[tokio::test]
async fn nothing_shows_contexts_or_plaintext() {
    let service = Service::default();
    let messages = service.messages();
    let pairs = context(&[("tenant", "canary-tenant")]);
    let message = messages.encrypt(b"canary-plaintext", &pairs).await.unwrap();
    let mut shown = format!("{messages:?} {:?}", Powertools::new(messages.clone()));
    assert!(shown.contains(KEY));
    shown += &format!("{:?}", messages.decrypt(&message, &pairs).await.unwrap());
    for wrong in [context(&[]), context(&[("tenant", "canary-other")]), context(&[("user", "canary")])] {
        shown += &format!("{:?}", messages.decrypt(&message, &wrong).await.unwrap_err());
    }
    assert!(!shown.contains("canary"), "{shown}");
    assert!(shown.contains("`tenant`") && shown.contains("`user`"), "{shown}");
}

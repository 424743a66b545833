//! What binds a blob, and that nothing can be changed about it.

use std::collections::HashMap;

use aws_sdk_kms::{primitives::Blob, types::DataKeySpec};
use pii_kms::testing::FakeKms;

use crate::support::{client_of, code, refused, service};

fn context(pairs: &[(&str, &str)]) -> Option<HashMap<String, String>> {
    Some(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[tokio::test]
async fn the_blob_of_a_data_key_has_184_bytes() {
    let service = service().await;
    let made = service.client.generate_data_key().key_id(&service.key).key_spec(DataKeySpec::Aes256);
    let blob = made.encryption_context("tenant", "acme").send().await.unwrap().ciphertext_blob.unwrap();
    assert_eq!(blob.as_ref().len(), 184);
    assert!(blob.as_ref().starts_with(&[1, 2, 2, 0]));
}

#[tokio::test]
async fn contexts_are_not_confused() {
    let service = service().await;
    let contexts: &[&[(&str, &str)]] = &[
        &[],
        &[("a", "b"), ("c", "d")],
        &[("ab", ""), ("cd", "")],
        &[("a", "bcd")],
        &[("abc", "d")],
        &[("a", "d"), ("c", "b")],
        &[("a", "b")],
        &[("A", "b"), ("c", "d")],
    ];
    for (index, sealed_under) in contexts.iter().enumerate() {
        let sealed = service.encrypt(b"x").set_encryption_context(context(sealed_under)).send().await;
        let blob = sealed.unwrap().ciphertext_blob.unwrap();
        for (other, opened_under) in contexts.iter().enumerate() {
            let opened = service.client.decrypt().ciphertext_blob(blob.clone());
            let opened = opened.set_encryption_context(context(opened_under)).send().await;
            let expected = if index == other { None } else { refused("InvalidCiphertextException") };
            assert_eq!(code(opened), expected, "{sealed_under:?} {opened_under:?}");
        }
    }
}

#[tokio::test]
async fn a_pair_without_a_name_is_refused() {
    let service = service().await;
    let call = |name: &str, value: &str| service.encrypt(b"x").encryption_context(name, value).send();
    assert_eq!(code(call("", "x").await), refused("ValidationException"));
    assert_eq!(code(call("x", "").await), None);
    assert_eq!(code(call("x", &"y".repeat(8192)).await), refused("ValidationException"));
}

#[tokio::test]
async fn every_flipped_bit_is_refused() {
    let service = service().await;
    let blob = service.encrypted(&[7; 32]).await;
    assert_eq!(service.decrypt_code(&blob).await, None);
    let mut bytes = blob.into_inner();
    assert_eq!(bytes.len(), 184);
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let with_key = service.decrypt_code(&Blob::new(bytes.clone())).await;
        assert_eq!(with_key, refused("InvalidCiphertextException"), "bit {bit}");
        let without = service.client.decrypt().ciphertext_blob(Blob::new(bytes.clone())).send().await;
        assert_eq!(code(without), refused("InvalidCiphertextException"), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(service.decrypt_code(&Blob::new(bytes)).await, None);
}

#[tokio::test]
async fn truncated_extended_and_foreign_blobs_are_refused() {
    let service = service().await;
    let blob = service.encrypted(&[7; 32]).await.into_inner();
    let invalid = refused("InvalidCiphertextException");
    for length in 1..blob.len() {
        assert_eq!(service.decrypt_code(&Blob::new(&blob[..length])).await, invalid, "{length}");
    }
    assert_eq!(service.decrypt_code(&Blob::new([&blob[..], &[0]].concat())).await, invalid);

    // of another account, with and without the key's name
    let elsewhere = crate::support::service().await;
    let foreign = elsewhere.encrypted(&[7; 32]).await;
    assert_eq!(service.decrypt_code(&foreign).await, invalid);
    assert_eq!(code(service.client.decrypt().ciphertext_blob(foreign).send().await), invalid);
}

#[tokio::test]
async fn the_named_key_must_be_the_one_that_sealed() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    let blob = service.encrypted(b"x").await;
    let call = service.client.decrypt().key_id(&other).ciphertext_blob(blob.clone()).send().await;
    assert!(call.unwrap_err().into_service_error().is_incorrect_key_exception());
    // also when the one that sealed is gone
    service.kms.delete_key(&service.key).unwrap();
    let call = service.client.decrypt().key_id(&other).ciphertext_blob(blob).send().await;
    assert!(call.unwrap_err().into_service_error().is_incorrect_key_exception());
}

#[tokio::test]
async fn two_services_run_side_by_side() {
    let here = service().await;
    let kms = FakeKms::new("us-east-1", "444455556666");
    let key = kms.create_key().unwrap();
    let server = kms.serve().await.unwrap();
    let there = client_of(&server, "us-east-1");
    let sealed = there.encrypt().key_id(&key).plaintext(Blob::new("x")).send().await.unwrap();
    assert!(sealed.key_id().unwrap().starts_with("arn:aws:kms:us-east-1:444455556666:key/"));
    let blob = sealed.ciphertext_blob.unwrap();
    assert_eq!(code(there.decrypt().ciphertext_blob(blob.clone()).send().await), None);
    assert_eq!(here.decrypt_code(&blob).await, refused("InvalidCiphertextException"));
    assert_eq!((kms.total_calls(), here.kms.total_calls()), (2, 1));
}

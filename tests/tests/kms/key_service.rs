//! AWS KMS for the formats of other systems.

use std::sync::Arc;

use aws_sdk_kms::primitives::Blob;
use pii::{
    Amsdal, EncryptionSdk, ErrorKind, KeyService as _, KmsKeyService, Pydynox, PydynoxFormat, SecretBytes,
    ServiceContext,
    testing::kms::{Fault, KeyState, Operation},
};

use super::support::{Kms, OTHER_REGION, TENANT, assert_error};

fn context(tenant: &str) -> ServiceContext {
    [("tenant".to_owned(), tenant.to_owned())].into()
}

fn service(kms: &Kms) -> KmsKeyService {
    KmsKeyService::with_client(kms.client())
}

#[tokio::test]
async fn a_data_key_opens_under_its_key_and_context_only() {
    let kms = Kms::start().await;
    let other = kms.fake.create_key().unwrap();
    let service = service(&kms);
    let id = kms.key.rsplit('/').next().unwrap();
    for (name, context) in
        [("alias/pii", context(TENANT)), (id, context(TENANT)), (&kms.key, ServiceContext::new())]
    {
        let made = service.generate_data_key(name, &context).await.unwrap();
        assert_eq!((made.key_arn.as_str(), made.plaintext.expose().len()), (kms.key.as_str(), 32));
        for named in [Some(name), Some(&kms.key), None] {
            let opened = service.decrypt(named, &made.blob, &context).await.unwrap();
            assert!(opened.constant_time_eq(&made.plaintext));
        }
        let error = service.decrypt(Some(&other), &made.blob, &context).await.unwrap_err();
        assert_error(&error, ErrorKind::KeyMissing, &other);
        let elsewhere = [("tenant".to_owned(), "canary-tenant-2".to_owned())].into();
        let error = service.decrypt(Some(name), &made.blob, &elsewhere).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, name);
        let mut altered = made.blob.clone();
        *altered.last_mut().unwrap() ^= 1;
        let error = service.decrypt(Some(name), &altered, &context).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, name);
    }
    let contexts: Vec<_> = kms.fake.call_log().into_iter().map(|call| call.context).collect();
    assert_eq!(contexts[0], context(TENANT), "no pairs of ours");
}

#[tokio::test]
async fn failures_are_called_as_those_of_the_keyring() {
    let kms = Kms::start().await;
    let service = service(&kms);
    let context = context(TENANT);
    let made = service.generate_data_key(&kms.key, &context).await.unwrap();
    let errors = || async {
        [
            service.generate_data_key(&kms.key, &context).await.unwrap_err(),
            service.decrypt(Some(&kms.key), &made.blob, &context).await.unwrap_err(),
        ]
    };
    for (fault, kind) in
        [(Fault::Throttled, ErrorKind::KeyThrottled), (Fault::KeyUnavailable, ErrorKind::KeyUnavailable)]
    {
        kms.fake.inject(fault.until_cleared());
        for error in errors().await {
            assert_error(&error, kind, &kms.key);
        }
        kms.fake.clear_faults();
    }
    kms.fake.set_key_state(&kms.key, KeyState::Disabled).unwrap();
    for error in errors().await {
        assert_error(&error, ErrorKind::KeyDisabled, &kms.key);
    }
    kms.fake.set_key_state(&kms.key, KeyState::Enabled).unwrap();
    kms.fake.deny(Operation::Decrypt, |_| true);
    let error = service.decrypt(Some(&kms.key), &made.blob, &context).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDenied, &kms.key);
    service.generate_data_key(&kms.key, &context).await.unwrap();

    let before = kms.fake.total_calls();
    for name in ["", "not a key", "arn:aws:s3:::bucket"] {
        let error = service.generate_data_key(name, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        let error = service.decrypt(Some(name), &made.blob, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
    assert_eq!(kms.fake.total_calls(), before);
    let nothing = "alias/nothing";
    let error = service.generate_data_key(nothing, &context).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyMissing, nothing);
}

#[tokio::test]
async fn pydynox_works_over_it() {
    let kms = Kms::start().await;
    let pydynox = Pydynox::new(service(&kms), "alias/pii").context([("tenant", TENANT)]);
    let texts: Vec<String> = pydynox.encrypt_all(&[b"123-45-6789", b""]).await.unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let opened = pydynox.decrypt_each(&texts).await;
    assert_eq!(opened[0].as_ref().unwrap().expose(), b"123-45-6789");
    assert_eq!(opened[1].as_ref().unwrap().expose(), b"");
    assert_eq!((kms.fake.calls(Operation::GenerateDataKey), kms.fake.calls(Operation::Decrypt)), (2, 2));

    let elsewhere = Pydynox::new(service(&kms), "alias/pii").context([("tenant", "canary-tenant-2")]);
    let error = elsewhere.decrypt(texts[0]).await.unwrap_err();
    assert_error(&error, ErrorKind::ContextMismatch, "alias/pii");
    assert!(error.to_string().contains("`tenant`"), "{error}");

    // before 0.14: the value itself
    let made = kms.client().encrypt().key_id("alias/pii").plaintext(Blob::new("123-45-6789"));
    let blob = made.encryption_context("tenant", TENANT).send().await.unwrap().ciphertext_blob.unwrap();
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    let direct = format!("ENC:{}", BASE64_STANDARD.encode(blob));
    for format in [PydynoxFormat::Direct, PydynoxFormat::Either] {
        let opened = pydynox.clone().format(format).decrypt(&direct).await.unwrap();
        assert_eq!(opened.expose(), b"123-45-6789");
    }
    assert!(pydynox.decrypt(&direct).await.unwrap_err().is_integrity());
}

#[tokio::test]
async fn what_exists_already_is_encrypted_under_key_and_context() {
    let kms = Kms::start().await;
    let service = service(&kms);
    let secret = SecretBytes::copy_from(&[7; 32]);
    for context in [context(TENANT), ServiceContext::new()] {
        let made = service.encrypt("alias/pii", &secret, &context).await.unwrap();
        assert_eq!(made.key_arn, kms.key);
        let opened = service.decrypt(Some(&kms.key), &made.blob, &context).await.unwrap();
        assert!(opened.constant_time_eq(&secret));
        let elsewhere = [("tenant".to_owned(), "canary-tenant-2".to_owned())].into();
        let error = service.decrypt(Some(&kms.key), &made.blob, &elsewhere).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
    }
    kms.fake.deny(Operation::Encrypt, |_| true);
    let error = service.encrypt(&kms.key, &secret, &context(TENANT)).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDenied, &kms.key);
    let error = service.encrypt("not a key", &secret, &context(TENANT)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn messages_of_the_encryption_sdk_have_data_keys_in_two_regions() {
    let (here, there) = (Kms::start().await, Kms::start_in(OTHER_REGION).await);
    let builder = || EncryptionSdk::builder(service(&here)).key(&here.key);
    let both = || builder().key_of(Arc::new(service(&there)), &there.key).build().unwrap();
    let message = both().encrypt(b"123-45-6789", &context(TENANT)).await.unwrap();
    let made = (here.fake.calls(Operation::GenerateDataKey), there.fake.calls(Operation::Encrypt));
    assert_eq!((made, here.fake.total_calls(), there.fake.total_calls()), ((1, 1), 1, 1));
    let log = there.fake.call_log();
    assert_eq!(log[0].context, context(TENANT), "no pairs of ours");
    let alone = EncryptionSdk::builder(service(&there)).decrypt_only(&there.key).build().unwrap();
    for reader in [both(), builder().build().unwrap(), alone] {
        for _ in 0..10 {
            let opened = reader.decrypt(&message, &context(TENANT)).await.unwrap();
            assert_eq!(opened.expose(), b"123-45-6789");
        }
    }
    assert_eq!((here.fake.total_calls(), there.fake.total_calls()), (3, 2));
    here.fake.set_key_state(&here.key, KeyState::Disabled).unwrap();
    assert_eq!(both().decrypt(&message, &context(TENANT)).await.unwrap().expose(), b"123-45-6789");
    let error = builder().build().unwrap().decrypt(&message, &context(TENANT)).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDisabled, &here.key);
}

#[tokio::test]
async fn amsdal_works_over_it() {
    let kms = Kms::start().await;
    let fields = Amsdal::new(service(&kms), "alias/pii");
    let texts = fields.encrypt_all(&[b"123-45-6789", b""]).await.unwrap();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let opened = fields.decrypt_each(&texts).await;
    assert_eq!(opened[0].as_ref().unwrap().expose(), b"123-45-6789");
    assert_eq!(opened[1].as_ref().unwrap().expose(), b"");
    assert_eq!((kms.fake.calls(Operation::GenerateDataKey), kms.fake.calls(Operation::Decrypt)), (1, 1));
    assert!(kms.fake.call_log().iter().all(|call| call.context.is_empty()));
    let error = fields.context([("tenant", TENANT)]).decrypt(texts[0]).await.unwrap_err();
    assert_error(&error, ErrorKind::ContextMismatch, "alias/pii");
}

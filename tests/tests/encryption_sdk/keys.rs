//! Which keys are asked, and for what.

use std::{sync::Arc, time::Duration};

use pii::{CacheLimits, EncryptionSdk, EncryptionSdkBuilder, ErrorKind, ServiceContext};

use super::{
    reference,
    reference::Draft,
    service::{KEY, OTHER, Service, THIRD, WithoutEncrypt, context},
};

fn builder(service: &Service) -> EncryptionSdkBuilder {
    EncryptionSdk::builder(service.clone())
}

#[test]
fn keys_are_named_by_their_arn_and_once() {
    let service = Service::default();
    let kind = |builder: EncryptionSdkBuilder| builder.build().unwrap_err().kind();
    assert_eq!(kind(builder(&service)), ErrorKind::Configuration);
    for wrong in [
        "",
        "1234abcd-12ab-34cd-56ef-1234567890ab",
        "alias/pii",
        "arn:aws:kms:eu-central-1:111122223333:alias/pii",
        "arn:aws:kms:eu-central-1:111122223333:key/",
        "arn:aws:kms:eu-central-1:111122223333:key/a/b",
        "arn:aws:s3:::bucket",
        "arn:aws:kms::111122223333:key/1234abcd",
        &format!("{KEY}:x"),
        &format!(" {KEY}"),
        &format!("{KEY}{}", "0".repeat(3000)),
    ] {
        assert_eq!(kind(builder(&service).key(wrong)), ErrorKind::Configuration, "{wrong}");
        assert_eq!(kind(builder(&service).decrypt_only(wrong)), ErrorKind::Configuration, "{wrong}");
    }
    assert_eq!(kind(builder(&service).key(KEY).key(KEY)), ErrorKind::Configuration);
    assert_eq!(kind(builder(&service).key(KEY).decrypt_only(KEY)), ErrorKind::Configuration);
    assert_eq!(kind(builder(&service).key(KEY).max_message_bytes(0)), ErrorKind::Configuration);
    assert_eq!(kind(builder(&service).key(KEY).max_encrypted_data_keys(0)), ErrorKind::Configuration);
    assert_eq!(
        kind(builder(&service).key(KEY).key(OTHER).max_encrypted_data_keys(1)),
        ErrorKind::Configuration
    );
    let multi_region =
        KEY.replace("1234abcd-12ab-34cd-56ef-1234567890ab", "mrk-1234abcd12ab34cd56ef1234567890ab");
    builder(&service)
        .key(KEY)
        .decrypt_only(OTHER)
        .key(multi_region)
        .max_encrypted_data_keys(2)
        .build()
        .unwrap();
}

#[tokio::test]
async fn under_several_keys_any_one_opens() {
    let service = Service::default();
    let elsewhere = Service::default();
    let at_elsewhere = || Arc::new(elsewhere.clone());
    let context = context(&[("t", "1")]);
    let messages = builder(&service).key(KEY).key(OTHER).key_of(at_elsewhere(), THIRD).build().unwrap();
    let message = messages.encrypt(b"text", &context).await.unwrap();
    assert_eq!((service.calls(), elsewhere.calls()), ([1, 1, 0], [0, 1, 0]));
    let header = reference::header(&message);
    let named: Vec<&[u8]> = header.data_keys.iter().map(|[_, key, _]| key.as_slice()).collect();
    assert_eq!(named, [KEY.as_bytes(), OTHER.as_bytes(), THIRD.as_bytes()]);
    for reader in [
        builder(&service).key(KEY),
        builder(&service).decrypt_only(OTHER),
        builder(&elsewhere).key(THIRD),
        EncryptionSdk::shared_builder(Arc::new(service.clone())).decrypt_only_of(at_elsewhere(), THIRD),
    ] {
        let opened = reader.build().unwrap().decrypt(&message, &context).await.unwrap();
        assert_eq!(opened.expose(), b"text");
    }
    assert_eq!((service.calls(), elsewhere.calls()), ([1, 1, 2], [0, 1, 2]));
    // in the order of the reader, not that of the message
    let near = EncryptionSdk::shared_builder(at_elsewhere()).key(THIRD);
    let near = near.key_of(Arc::new(service.clone()), KEY).build().unwrap();
    near.decrypt(&message, &context).await.unwrap();
    assert_eq!((service.calls(), elsewhere.calls()), ([1, 1, 2], [0, 1, 3]));
}

#[tokio::test]
async fn where_one_key_fails_the_next_one_is_asked() {
    let service = Service::default();
    let context = ServiceContext::new();
    let both = || builder(&service).key(KEY).key(OTHER).build().unwrap();
    let message = both().encrypt(b"text", &context).await.unwrap();
    for kind in [ErrorKind::KeyUnavailable, ErrorKind::KeyDenied, ErrorKind::KeyDisabled] {
        service.fail(KEY, Some(kind));
        assert_eq!(both().decrypt(&message, &context).await.unwrap().expose(), b"text");
        let error = both().encrypt(b"text", &context).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (kind, Some(KEY)));
        // with both failing, what may pass is told
        service.fail(OTHER, Some(ErrorKind::KeyThrottled));
        let error = both().decrypt(&message, &context).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyThrottled, Some(OTHER)));
        service.fail(OTHER, Some(ErrorKind::KeyDenied));
        let error = both().decrypt(&message, &context).await.unwrap_err();
        assert_eq!((error.kind(), error.key_id()), (kind, Some(KEY)));
        service.fail(OTHER, None);
    }
    service.fail(KEY, None);
    // no message lacks a copy
    service.fail(OTHER, Some(ErrorKind::KeyUnavailable));
    let error = both().encrypt(b"text", &context).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::KeyUnavailable, Some(OTHER)));
    service.fail(OTHER, None);
    both().encrypt(b"text", &context).await.unwrap();
}

#[tokio::test]
async fn a_key_service_that_can_not_encrypt_writes_under_one_key_only() {
    let service = Service::default();
    let context = ServiceContext::new();
    let builder = || EncryptionSdk::builder(WithoutEncrypt(service.clone())).key(KEY);
    let one = builder().build().unwrap();
    let message = one.encrypt(b"text", &context).await.unwrap();
    assert_eq!(one.decrypt(&message, &context).await.unwrap().expose(), b"text");
    let error = builder().key(OTHER).build().unwrap().encrypt(b"text", &context).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::Configuration, Some(OTHER)));
    let reader = builder().decrypt_only(OTHER).build().unwrap();
    assert_eq!(reader.decrypt(&message, &context).await.unwrap().expose(), b"text");
}

#[tokio::test]
async fn keys_for_reading_do_not_write() {
    let service = Service::default();
    let context = ServiceContext::new();
    let reader = builder(&service).decrypt_only(KEY).build().unwrap();
    let error = reader.encrypt(b"text", &context).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(service.calls(), [0; 3]);
}

#[tokio::test]
async fn an_answer_of_another_key_is_refused() {
    let context = ServiceContext::new();
    let mut service = Service::default();
    service.answers_as = Some(OTHER);
    let error = builder(&service).key(KEY).build().unwrap().encrypt(b"text", &context).await.unwrap_err();
    assert_eq!((error.kind(), error.key_id()), (ErrorKind::Integrity, Some(KEY)));
    builder(&service).key(OTHER).build().unwrap().encrypt(b"text", &context).await.unwrap();
}

/// Providers and keys are compared byte for byte; what is not ours is passed over without a call.
#[tokio::test]
async fn data_keys_of_others_are_passed_over() {
    let service = Service::default();
    let context = ServiceContext::new();
    let good = Draft::new(&service, &context);
    let own = good.data_keys[0].clone();
    let [_, _, blob] = own.clone();
    let named =
        |provider: &str, key: &str| [provider.as_bytes().to_vec(), key.as_bytes().to_vec(), blob.clone()];
    let messages = || service.messages();
    for other in [
        named("aws-kms ", KEY),
        named("AWS-KMS", KEY),
        named("", KEY),
        named("raw", KEY),
        named("aws-kms", OTHER),
        named("aws-kms", ""),
        named("aws-kms", &KEY[..KEY.len() - 1]),
        named("aws-kms", &format!("{KEY}0")),
        [b"aws-kms".to_vec(), vec![0xff; 10], blob.clone()],
    ] {
        let draft = Draft { data_keys: vec![other.clone()], ..good.clone() };
        let message = draft.message(&draft.last(1, b"text"));
        let before = service.calls();
        let error = messages().decrypt(&message, &context).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyMissing);
        assert_eq!(service.calls(), before);
        let draft = Draft { data_keys: vec![other.clone(), own.clone(), other], ..good.clone() };
        let message = draft.message(&draft.last(1, b"text"));
        assert_eq!(messages().decrypt(&message, &context).await.unwrap().expose(), b"text");
        assert_eq!(service.calls()[2], before[2] + 1);
    }
}

/// Without a memory for refusals.
fn forgetful(service: &Service) -> EncryptionSdk {
    let limits = CacheLimits { negative_age: Duration::ZERO, ..EncryptionSdk::CACHE_LIMITS };
    builder(service).key(KEY).cache_limits(limits).build().unwrap()
}

#[tokio::test]
async fn a_blob_that_does_not_open_is_asked_for_once_and_the_next_one_after_it() {
    let service = Service::default();
    let context = ServiceContext::new();
    let good = Draft::new(&service, &context);
    let own = good.data_keys[0].clone();
    let broken = [own[0].clone(), own[1].clone(), b"not a blob".to_vec()];
    let short = [own[0].clone(), own[1].clone(), b"a short key".to_vec()];
    service.put(KEY, b"a short key", context.clone(), &[42; 31]);
    let data_keys = vec![broken.clone(), broken.clone(), short.clone(), own];
    let draft = Draft { data_keys, ..good.clone() };
    let message = draft.message(&draft.last(1, b"text"));
    assert_eq!(forgetful(&service).decrypt(&message, &context).await.unwrap().expose(), b"text");
    assert_eq!(service.calls(), [0, 0, 3]);
    for (data_keys, kind) in
        [(vec![broken; 20], ErrorKind::ContextMismatch), (vec![short], ErrorKind::Integrity)]
    {
        let draft = Draft { data_keys, ..good.clone() };
        let message = draft.message(&draft.last(1, b"text"));
        let before = service.calls()[2];
        let error = forgetful(&service).decrypt(&message, &context).await.unwrap_err();
        assert_eq!((error.kind(), service.calls()[2] - before), (kind, 1));
    }
}

//! Data keys made, opened and moved under one key.

use std::{sync::Arc, time::Duration};

use pii::{
    DataKey, ErrorKind, KeyBinding, Keyring as _, KmsKeyring, Provider, Purpose, WrappedKey, ctx,
    testing::kms::Operation,
};

use super::support::{Kms, TENANT, assert_error, binding, binding_for, copies_of, names, unwrap, unwrap_for};

#[tokio::test]
async fn a_data_key_opens_under_what_it_was_made_for() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(names(&copies), [&kms.key]);
    assert_eq!(copies[0].blob.len(), 184);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    assert_eq!(kms.fake.calls(Operation::GenerateDataKey), 1);
    assert_eq!(kms.fake.calls(Operation::Decrypt), 1);
    assert_eq!(kms.fake.total_calls(), 2, "a key named by its ARN is not looked up");
}

#[test]
fn calls_block_no_thread_and_are_send() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let kms = Kms::start().await;
        let keyring = kms.keyring();
        let (copies, _) = copies_of(&keyring).await;
        kms.fake.set_latency_of(Operation::Decrypt, Duration::from_secs(3600));
        let waiting = tokio::spawn({
            let keyring = keyring.clone();
            async move { keyring.unwrap(&copies, &binding(), &|_| true).await.map(drop) }
        });
        // the only thread goes on with other calls of the same keyring
        while kms.fake.calls(Operation::Decrypt) == 0 {
            copies_of(&keyring).await;
        }
        assert!(!waiting.is_finished());
        waiting.abort();
    });
}

#[tokio::test]
async fn the_context_is_passed_with_purpose_and_epoch() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let generated = keyring.generate(&binding()).await.unwrap();
    keyring.wrap(&generated.data_key, &binding()).await.unwrap();
    unwrap(&keyring, &generated.copies).await.unwrap();
    keyring.rewrap(&generated.copies, &binding(), &|_| true).await.unwrap();
    let log = kms.fake.call_log();
    assert_eq!(log.len(), 4);
    for call in log {
        let context: Vec<(&str, &str)> =
            call.context.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(
            context,
            [("app", "billing"), ("pii:epoch", "7"), ("pii:purpose", "seal"), ("tenant", "canary-tenant")],
            "{}",
            call.operation
        );
    }
}

#[tokio::test]
async fn any_other_binding_is_refused() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, _) = copies_of(&keyring).await;
    let others = [
        binding_for(Purpose::Seal, "another-tenant"),
        binding_for(Purpose::Drop, TENANT),
        KeyBinding { epoch: 8, ..binding() },
        KeyBinding { context: Arc::new(ctx!(app = "billing").unwrap()), ..binding() },
    ];
    for other in others {
        let error = unwrap_for(&keyring, &copies, &other).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
        let error = keyring.rewrap(&copies, &other, &|_| true).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &format!("{0} to {0}", kms.key));
    }
    assert!(unwrap(&keyring, &copies).await.is_ok());
}

#[tokio::test]
async fn a_key_that_exists_is_wrapped() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let data_key = DataKey::generate().unwrap();
    let copies = keyring.wrap(&data_key, &binding()).await.unwrap();
    assert_eq!(names(&copies), [&kms.key]);
    assert_eq!(&unwrap(&keyring, &copies).await.unwrap(), data_key.expose_bytes());
    assert_eq!(kms.fake.calls(Operation::Encrypt), 1);
}

#[tokio::test]
async fn another_data_key_than_the_wanted_one_is_passed_over() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (mut copies, _) = copies_of(&keyring).await;
    let (more, wanted) = copies_of(&keyring).await;
    copies.extend(more);
    let is_wanted = |key: &DataKey| *key.expose_bytes() == wanted;
    let opened = keyring.unwrap(&copies, &binding(), &is_wanted).await.unwrap();
    assert_eq!(*opened.expose_bytes(), wanted);
    let error = keyring.unwrap(&copies[..1], &binding(), &is_wanted).await.unwrap_err();
    assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
}

#[tokio::test]
async fn altered_copies_are_refused_and_impossible_ones_without_a_call() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, data_key) = copies_of(&keyring).await;
    kms.fake.reset_counters();
    let with_blob = |blob: Vec<u8>| WrappedKey { blob, ..copies[0].clone() };
    for blob in [vec![], vec![1; 6145]] {
        let copy = with_blob(blob);
        let error = unwrap(&keyring, std::slice::from_ref(&copy)).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
        let error = keyring.rewrap(std::slice::from_ref(&copy), &binding(), &|_| true).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
        // the good one behind it opens
        assert_eq!(unwrap(&keyring, &[copy, copies[0].clone()]).await.unwrap(), data_key);
    }
    assert_eq!(kms.fake.total_calls(), 2);
    let good = &copies[0].blob;
    let mut flipped = good.clone();
    flipped[good.len() - 1] ^= 1;
    for blob in [flipped, good[..good.len() - 1].to_vec(), [good.as_slice(), &[0]].concat(), vec![1; 6144]] {
        let error = unwrap(&keyring, &[with_blob(blob)]).await.unwrap_err();
        assert_error(&error, ErrorKind::ContextMismatch, &kms.key);
    }
}

#[tokio::test]
async fn a_data_key_of_another_length_is_refused() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let mut request =
        kms.client().encrypt().key_id(&kms.key).plaintext(aws_sdk_kms::primitives::Blob::new([7; 31]));
    for (name, value) in
        [("app", "billing"), ("tenant", "canary-tenant"), ("pii:purpose", "seal"), ("pii:epoch", "7")]
    {
        request = request.encryption_context(name, value);
    }
    let blob = request.send().await.unwrap().ciphertext_blob.unwrap().into_inner();
    let copy = WrappedKey { provider: Provider::AWS_KMS, key_name: kms.key.clone(), blob };
    let error = unwrap(&keyring, &[copy]).await.unwrap_err();
    assert_error(&error, ErrorKind::Integrity, &kms.key);
}

#[tokio::test]
async fn copies_of_the_test_keyring_are_refused() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (mut copies, _) = copies_of(&keyring).await;
    kms.fake.reset_counters();
    copies.extend(pii::TestKeyring::new().generate(&binding()).await.unwrap().copies);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap_err().kind(), ErrorKind::KeyMissing);
    let refused = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::KeyMissing);
    assert_eq!(kms.fake.total_calls(), 0);
}

#[tokio::test]
async fn a_data_key_moves_to_another_kms_key_inside_kms() {
    let kms = Kms::start().await;
    let (copies, data_key) = copies_of(&kms.keyring()).await;
    let new = kms.fake.create_key().unwrap();
    let keyring =
        KmsKeyring::builder().client(kms.client()).key(&new).decrypt_only(&kms.key).build().unwrap();
    kms.fake.reset_counters();
    let moved = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap();
    assert_eq!(names(&moved), [&new]);
    assert_eq!(kms.fake.calls(Operation::ReEncrypt), 1);
    assert_eq!(kms.fake.total_calls(), 1, "the data key was not shown to this process");
    assert_eq!(unwrap(&keyring, &moved).await.unwrap(), data_key);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "the old copy opens as before");
    // and a keyring that has the new key alone opens what was moved, and nothing else
    let alone = kms.keyring_of(&new);
    assert_eq!(unwrap(&alone, &moved).await.unwrap(), data_key);
    assert_error(&unwrap(&alone, &copies).await.unwrap_err(), ErrorKind::KeyMissing, &kms.key);
}

#[tokio::test]
async fn a_rotated_key_opens_what_it_wrapped_before() {
    let kms = Kms::start().await;
    let keyring = kms.keyring();
    let (copies, data_key) = copies_of(&keyring).await;
    kms.fake.rotate_key(&kms.key).unwrap();
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
}

#[tokio::test]
async fn the_in_process_keyring_of_the_fake_makes_the_same_copies() {
    let kms = Kms::start().await;
    let made = kms.fake.keyring(&kms.key).generate(&binding()).await.unwrap();
    let opened = unwrap(&kms.keyring(), &made.copies).await.unwrap();
    assert_eq!(&opened, made.data_key.expose_bytes());
}

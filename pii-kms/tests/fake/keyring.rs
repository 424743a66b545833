//! The fake as a keyring in the same process, without a runtime.

use std::{
    future::Future as _,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
    time::{Duration, Instant},
};

use aws_sdk_kms::primitives::Blob;
use futures_util::future::join_all;
use pii_core::{
    DataKey, EncryptionContext, ErrorKind, KeyBinding, Keyring as _, Provider, Purpose, WrappedKey,
};
use pii_kms::testing::{ErrorCode, FakeKms, FakeKmsKeyring, Fault, KeyState, Operation};

use crate::support::{ACCOUNT, REGION, block_on, client_of};

fn binding(tenant: &str, purpose: Purpose, epoch: u32) -> KeyBinding {
    let context = EncryptionContext::new([("tenant", tenant)]).unwrap();
    KeyBinding { context: Arc::new(context), purpose, epoch }
}

fn seal() -> KeyBinding {
    binding("acme", Purpose::Seal, 10)
}

fn fake() -> (FakeKms, FakeKmsKeyring) {
    let kms = FakeKms::new(REGION, ACCOUNT);
    kms.set_alias("alias/pii", &kms.create_key().unwrap()).unwrap();
    let keyring = kms.keyring("alias/pii");
    (kms, keyring)
}

fn kind(keyring: &FakeKmsKeyring, copies: &[WrappedKey], binding: &KeyBinding) -> Option<ErrorKind> {
    block_on(keyring.unwrap(copies, binding, &|_| true)).err().map(|error| error.kind())
}

#[test]
fn what_is_generated_unwraps() {
    let (kms, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    assert_eq!(made.copies.len(), 1);
    let copy = &made.copies[0];
    assert_eq!(
        (copy.provider, copy.key_name.as_str(), copy.blob.len()),
        (Provider::AWS_KMS, keyring.key(), 184)
    );
    assert!(keyring.key().starts_with("arn:aws:kms:eu-central-1:111122223333:key/"));
    let opened =
        block_on(keyring.unwrap(&made.copies, &seal(), &|key| key.id() == made.data_key.id())).unwrap();
    assert_eq!(opened.expose_bytes(), made.data_key.expose_bytes());
    assert_eq!((kms.calls(Operation::GenerateDataKey), kms.calls(Operation::Decrypt)), (1, 1));
    let context = &kms.call_log()[0].context;
    let pairs: Vec<_> = context.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(pairs, [("pii:epoch", "10"), ("pii:purpose", "seal"), ("tenant", "acme")]);
}

#[test]
fn every_part_of_the_binding_is_bound() {
    let (_, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    assert_eq!(kind(&keyring, &made.copies, &seal()), None);
    for other in [
        binding("initech", Purpose::Seal, 10),
        binding("acme", Purpose::Drop, 10),
        binding("acme", Purpose::Seal, 1),
    ] {
        assert_eq!(kind(&keyring, &made.copies, &other), Some(ErrorKind::ContextMismatch), "{other:?}");
    }
}

#[test]
fn the_next_copy_is_tried_where_one_does_not_open() {
    let (kms, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    let other = block_on(keyring.generate(&seal())).unwrap();
    let mut damaged = other.copies[0].clone();
    damaged.blob[100] ^= 1;
    let copies = [damaged, other.copies[0].clone(), made.copies[0].clone()];
    let is_wanted = |key: &DataKey| key.id() == made.data_key.id();
    kms.reset_counters();
    let opened = block_on(keyring.unwrap(&copies, &seal(), &is_wanted)).unwrap();
    assert_eq!(opened.id(), made.data_key.id());
    assert_eq!(kms.calls(Operation::Decrypt), 3);
    let error = block_on(keyring.unwrap(&copies[..2], &seal(), &is_wanted)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
}

#[test]
fn copies_of_others_are_not_touched() {
    let (kms, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    let with = |change: &dyn Fn(&mut WrappedKey)| {
        let mut copy = made.copies[0].clone();
        change(&mut copy);
        [copy]
    };
    kms.reset_counters();
    for copies in [
        with(&|copy| copy.provider = Provider::LOCAL),
        with(&|copy| copy.key_name = "arn:aws:kms:us-east-1:111122223333:key/x".to_owned()),
        with(&|copy| copy.provider = Provider::TEST),
    ] {
        assert_eq!(kind(&keyring, &copies, &seal()), Some(ErrorKind::KeyMissing));
    }
    let mut beside_test = with(&|copy| copy.provider = Provider::TEST).to_vec();
    beside_test.extend(made.copies.clone());
    assert_eq!(kind(&keyring, &beside_test, &seal()), Some(ErrorKind::KeyMissing));
    assert_eq!(kms.total_calls(), 0);
}

#[test]
fn errors_have_their_kinds_and_show_no_values() {
    let (kms, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    let check = |expected: ErrorKind| {
        for error in [
            block_on(keyring.generate(&seal())).unwrap_err(),
            block_on(keyring.unwrap(&made.copies, &seal(), &|_| true)).unwrap_err(),
        ] {
            assert_eq!(error.kind(), expected);
            assert_eq!(error.key_id(), Some(keyring.key()));
            assert!(!format!("{error} {error:?}").contains("acme"));
        }
    };
    for (fault, expected) in [
        (Fault::Throttled, ErrorKind::KeyThrottled),
        (Fault::Internal, ErrorKind::KeyUnavailable),
        (Fault::DependencyTimeout, ErrorKind::KeyUnavailable),
        (Fault::KeyUnavailable, ErrorKind::KeyUnavailable),
        (Fault::ConnectionDropped, ErrorKind::KeyUnavailable),
    ] {
        kms.inject(fault.until_cleared());
        check(expected);
        kms.clear_faults();
    }
    kms.allow_only([]);
    check(ErrorKind::KeyDenied);
    kms.clear_rules();
    kms.set_key_state("alias/pii", KeyState::Disabled).unwrap();
    check(ErrorKind::KeyDisabled);
    kms.set_key_state("alias/pii", KeyState::PendingDeletion).unwrap();
    check(ErrorKind::KeyDisabled);
    kms.delete_key("alias/pii").unwrap();
    check(ErrorKind::KeyMissing);
    let unknown = block_on(kms.keyring("alias/none").generate(&seal())).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::KeyMissing);
}

#[test]
fn an_alias_is_pinned() {
    let (kms, keyring) = fake();
    let made = block_on(keyring.generate(&seal())).unwrap();
    kms.set_alias("alias/pii", &kms.create_key().unwrap()).unwrap();
    assert_eq!(kind(&keyring, &made.copies, &seal()), None);
    assert_ne!(kms.keyring("alias/pii").key(), keyring.key());
    assert_eq!(kind(&kms.keyring("alias/pii"), &made.copies, &seal()), Some(ErrorKind::KeyMissing));
}

#[test]
fn a_predicate_may_use_the_fake() {
    let (kms, keyring) = fake();
    let handle = kms.clone();
    kms.deny(Operation::GenerateDataKey, move |request| {
        handle.set_key_state(request.resource(), KeyState::Disabled).is_ok() && handle.total_calls() == 1
    });
    assert_eq!(block_on(keyring.generate(&seal())).unwrap_err().kind(), ErrorKind::KeyDenied);
    assert_eq!(kms.call_log()[0].error, Some(ErrorCode::AccessDenied));
}

#[test]
fn latency_needs_no_runtime_and_calls_wait_together() {
    let (kms, keyring) = fake();
    let delay = Duration::from_millis(100);
    kms.set_latency(delay);
    let binding = seal();
    let started = Instant::now();
    let mut all = join_all((0..100).map(|_| keyring.generate(&binding)));
    // one look at them, and all have arrived
    let first_look = Pin::new(&mut all).poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!((first_look.is_pending(), kms.total_calls()), (true, 100));
    assert!(block_on(all).iter().all(Result::is_ok));
    assert!(started.elapsed() >= delay);
}

#[tokio::test]
async fn the_sdk_reads_what_the_keyring_wrote() {
    let (kms, keyring) = fake();
    let made = keyring.generate(&seal()).await.unwrap();
    let server = kms.serve().await.unwrap();
    let call = client_of(&server, REGION).decrypt().ciphertext_blob(Blob::new(made.copies[0].blob.clone()));
    let call = call.encryption_context("tenant", "acme").encryption_context("pii:purpose", "seal");
    let opened = call.encryption_context("pii:epoch", "10").send().await.unwrap();
    assert_eq!(opened.plaintext.unwrap().as_ref(), made.data_key.expose_bytes());
}

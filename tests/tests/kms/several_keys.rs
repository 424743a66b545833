//! Every data key under several KMS keys, in two regions; any one opens it.

use pii::{
    ErrorKind, Keyring as _, KmsKeyring, KmsKeyringBuilder,
    testing::kms::{Fault, KeyState, Operation},
};

use super::support::{Kms, OTHER_REGION, assert_error, binding, copies_of, names, unwrap};

async fn regions() -> (Kms, Kms) {
    (Kms::start().await, Kms::start_in(OTHER_REGION).await)
}

fn both(here: &Kms, there: &Kms) -> KmsKeyringBuilder {
    KmsKeyring::builder().client(here.client()).key(&here.key).key_with_client(&there.key, there.client())
}

#[tokio::test]
async fn every_key_wraps_and_any_one_opens() {
    let (here, there) = regions().await;
    let (copies, data_key) = copies_of(&both(&here, &there).build().unwrap()).await;
    assert_eq!(names(&copies), [&here.key, &there.key]);
    assert_eq!(here.fake.calls(Operation::GenerateDataKey), 1);
    assert_eq!(there.fake.calls(Operation::GenerateDataKey), 0);
    assert_eq!(there.fake.calls(Operation::Encrypt), 1);
    assert_eq!(unwrap(&here.keyring(), &copies).await.unwrap(), data_key);
    assert_eq!(unwrap(&there.keyring(), &copies).await.unwrap(), data_key);
}

#[tokio::test]
async fn keys_are_asked_in_the_stated_order() {
    let (here, there) = regions().await;
    let (mut copies, data_key) = copies_of(&both(&here, &there).build().unwrap()).await;
    copies.reverse();
    for kms in [&here, &there] {
        kms.fake.reset_counters();
    }
    // whatever the order of the copies
    assert_eq!(unwrap(&both(&here, &there).build().unwrap(), &copies).await.unwrap(), data_key);
    assert_eq!((here.fake.total_calls(), there.fake.total_calls()), (1, 0));
    assert_eq!(unwrap(&both(&there, &here).build().unwrap(), &copies).await.unwrap(), data_key);
    assert_eq!((here.fake.total_calls(), there.fake.total_calls()), (1, 1));
}

#[tokio::test]
async fn what_one_key_refuses_the_next_one_opens() {
    let (here, there) = regions().await;
    let keyring = both(&here, &there).build().unwrap();
    let (copies, data_key) = copies_of(&keyring).await;
    for fault in [Fault::Throttled, Fault::Internal, Fault::KeyUnavailable, Fault::ConnectionDropped] {
        here.fake.inject(fault.until_cleared());
        assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "{fault:?}");
        here.fake.clear_faults();
    }
    for state in [KeyState::Disabled, KeyState::PendingDeletion] {
        here.fake.set_key_state(&here.key, state).unwrap();
        assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "{state:?}");
    }
    here.fake.allow_only([]);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    here.fake.delete_key(&here.key).unwrap();
    here.fake.clear_rules();
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    drop(here.server);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "a region that can't be reached");
    let mut damaged = copies.clone();
    damaged[0].blob[100] ^= 1;
    assert_eq!(unwrap(&keyring, &damaged).await.unwrap(), data_key);
}

#[tokio::test]
async fn of_several_errors_the_most_telling_one_is_given() {
    let (here, there) = regions().await;
    let keyring = both(&here, &there).build().unwrap();
    let (copies, _) = copies_of(&keyring).await;
    here.fake.inject(Fault::Internal.until_cleared());
    there.fake.set_key_state(&there.key, KeyState::Disabled).unwrap();
    let error = unwrap(&keyring, &copies).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDisabled, &there.key);
    assert!(!error.is_retryable(), "a cache must not bridge a key that was taken away");
    there.fake.set_key_state(&there.key, KeyState::Enabled).unwrap();
    there.fake.inject(Fault::Internal.until_cleared());
    let error = unwrap(&keyring, &copies).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyUnavailable, &here.key);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn by_default_every_key_must_wrap() {
    let (here, there) = regions().await;
    let keyring = both(&here, &there).build().unwrap();
    for (broken, kept) in [(&here, &there), (&there, &here)] {
        broken.fake.inject(Fault::KeyUnavailable.until_cleared());
        kept.fake.reset_counters();
        let error = keyring.generate(&binding()).await.unwrap_err();
        assert_error(&error, ErrorKind::KeyUnavailable, &broken.key);
        broken.fake.clear_faults();
    }
    assert_eq!(there.fake.calls(Operation::GenerateDataKey), 0, "no data key is made in vain");
}

#[tokio::test]
async fn fewer_copies_are_enough_in_an_outage_if_that_was_asked_for() {
    let (here, there) = regions().await;
    let keyring = both(&here, &there).required_copies(1).build().unwrap();
    for (broken, kept) in [(&here, &there), (&there, &here)] {
        for fault in [Fault::Throttled, Fault::Internal] {
            broken.fake.inject(fault.until_cleared());
            let generated = keyring.generate(&binding()).await.unwrap();
            assert_eq!(names(&generated.copies), [&kept.key]);
            let copies = keyring.wrap(&generated.data_key, &binding()).await.unwrap();
            assert_eq!(names(&copies), [&kept.key]);
            broken.fake.clear_faults();
        }
        // a decision of people is no outage
        broken.fake.set_key_state(&broken.key, KeyState::Disabled).unwrap();
        let error = keyring.generate(&binding()).await.unwrap_err();
        assert_error(&error, ErrorKind::KeyDisabled, &broken.key);
        broken.fake.set_key_state(&broken.key, KeyState::Enabled).unwrap();
    }
    for kms in [&here, &there] {
        kms.fake.inject(Fault::Throttled.until_cleared());
    }
    let error = keyring.generate(&binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyThrottled);
    for kms in [&here, &there] {
        kms.fake.clear_faults();
    }
    let (copies, _) = copies_of(&keyring).await;
    assert_eq!(names(&copies), [&here.key, &there.key]);
}

#[tokio::test]
async fn two_names_of_one_key_are_refused() {
    let kms = Kms::start().await;
    let keyring = KmsKeyring::builder().client(kms.client()).key("alias/pii").key(&kms.key).build().unwrap();
    let error = keyring.generate(&binding()).await.unwrap_err();
    assert_error(&error, ErrorKind::Configuration, &kms.key);
}

#[tokio::test]
async fn a_data_key_that_is_moved_to_another_region_passes_through_this_process() {
    let (here, there) = regions().await;
    let (copies, data_key) = copies_of(&here.keyring()).await;
    let new = here.fake.create_key().unwrap();
    let keyring = KmsKeyring::builder()
        .client(here.client())
        .key(&new)
        .key_with_client(&there.key, there.client())
        .decrypt_only(&here.key)
        .build()
        .unwrap();
    for kms in [&here, &there] {
        kms.fake.reset_counters();
    }
    let moved = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap();
    assert_eq!(names(&moved), [&new, &there.key]);
    assert_eq!(here.fake.calls(Operation::ReEncrypt), 1);
    assert_eq!(here.fake.calls(Operation::Decrypt), 1);
    assert_eq!(there.fake.calls(Operation::ReEncrypt), 0);
    assert_eq!(there.fake.calls(Operation::Encrypt), 1);
    for copy in moved {
        assert_eq!(unwrap(&keyring, &[copy]).await.unwrap(), data_key);
    }
}

#[tokio::test]
async fn eight_keys_wrap() {
    let kms = Kms::start().await;
    let mut builder = KmsKeyring::builder().client(kms.client()).key(&kms.key);
    for _ in 1..8 {
        builder = builder.key(kms.fake.create_key().unwrap());
    }
    let keyring = builder.build().unwrap();
    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(copies.len(), 8);
    for copy in copies {
        assert_eq!(unwrap(&keyring, &[copy]).await.unwrap(), data_key);
    }
}

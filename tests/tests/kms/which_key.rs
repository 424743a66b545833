//! How keys are named, and what stays true of them.

use pii::{
    ErrorKind, Keyring as _, KmsKeyring,
    testing::kms::{FakeKms, KeyOptions, Operation},
};

use super::support::{
    ACCOUNT, Kms, OTHER_REGION, REGION, assert_error, binding, client, copies_of, names, unwrap,
};

#[tokio::test]
async fn every_way_to_name_a_key_leads_to_its_arn() {
    let kms = Kms::start().await;
    let id = kms.key.rsplit('/').next().unwrap();
    let alias_arn = format!("arn:aws:kms:{REGION}:{ACCOUNT}:alias/pii");
    let (copies, data_key) = copies_of(&kms.keyring()).await;
    for name in [id, "alias/pii", &alias_arn, &kms.key] {
        let keyring = kms.keyring_of(name);
        assert_eq!(format!("{keyring:?}"), format!("KmsKeyring([{name:?}])"));
        assert_eq!(names(&copies_of(&keyring).await.0), [&kms.key], "{name}");
        assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key, "{name}");
        assert_eq!(keyring.resolve().await.unwrap(), [&*kms.key], "{name}");
        assert_eq!(format!("{keyring:?}"), format!("KmsKeyring([{:?}])", kms.key));
    }
    assert_eq!(kms.fake.calls(Operation::DescribeKey), 3, "each name but the ARN, once");
}

#[tokio::test]
async fn a_name_is_looked_up_once_however_many_ask() {
    let kms = Kms::start().await;
    let keyring = kms.keyring_of("alias/pii");
    let binding = binding();
    kms.fake.set_latency(std::time::Duration::from_millis(20));
    let calls = (0..50).map(|_| keyring.generate(&binding));
    let made = futures_util::future::join_all(calls).await;
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(kms.fake.calls(Operation::DescribeKey), 1);
    let clone = keyring.clone();
    clone.generate(&binding).await.unwrap();
    assert_eq!(kms.fake.calls(Operation::DescribeKey), 1);
}

#[tokio::test]
async fn an_alias_that_is_moved_changes_nothing_for_a_running_process() {
    let kms = Kms::start().await;
    let old = kms.keyring_of("alias/pii");
    let (copies, data_key) = copies_of(&old).await;
    let new_key = kms.fake.create_key().unwrap();
    kms.fake.set_alias("alias/pii", &new_key).unwrap();
    assert_eq!(names(&copies_of(&old).await.0), [&kms.key]);
    assert_eq!(unwrap(&old, &copies).await.unwrap(), data_key);
    kms.fake.remove_alias("alias/pii").unwrap();
    assert_eq!(unwrap(&old, &copies).await.unwrap(), data_key);
    // the next process follows it, and says which key it lacks
    kms.fake.set_alias("alias/pii", &new_key).unwrap();
    let next = kms.keyring_of("alias/pii");
    assert_eq!(names(&copies_of(&next).await.0), [&new_key]);
    assert_error(&unwrap(&next, &copies).await.unwrap_err(), ErrorKind::KeyMissing, &kms.key);
    let with_both =
        KmsKeyring::builder().client(kms.client()).key("alias/pii").decrypt_only(&kms.key).build().unwrap();
    assert_eq!(unwrap(&with_both, &copies).await.unwrap(), data_key);
}

#[tokio::test]
async fn without_the_right_to_look_a_name_up_the_first_call_tells() {
    let kms = Kms::start().await;
    let (copies, data_key) = copies_of(&kms.keyring()).await;
    kms.fake.allow_only([Operation::GenerateDataKey, Operation::Decrypt]);
    let writer = kms.keyring_of("alias/pii");
    let reader = kms.keyring_of("alias/pii");
    assert_eq!(names(&copies_of(&writer).await.0), [&kms.key]);
    assert_eq!(unwrap(&reader, &copies).await.unwrap(), data_key);
    for keyring in [&writer, &reader] {
        assert_eq!(format!("{keyring:?}"), format!("KmsKeyring([{:?}])", kms.key));
    }
    // pinned, as by looking it up
    let new_key = kms.fake.create_key().unwrap();
    kms.fake.set_alias("alias/pii", &new_key).unwrap();
    assert_eq!(names(&copies_of(&writer).await.0), [&kms.key]);
    assert_eq!(unwrap(&reader, &copies).await.unwrap(), data_key);
    assert_eq!(kms.fake.calls(Operation::DescribeKey), 2);
    // a reader that comes later asks the key which the alias now means, which did not wrap it
    let late = kms.keyring_of("alias/pii");
    let error = unwrap(&late, &copies).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing, "{error}");
}

#[tokio::test]
async fn foreign_keys_are_refused_without_a_call() {
    let kms = Kms::start().await;
    let foreign = kms.fake.create_key().unwrap();
    let (mut copies, _) = copies_of(&kms.keyring_of(&foreign)).await;
    let keyring = kms.keyring();
    kms.fake.reset_counters();
    let error = unwrap(&keyring, &copies).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyMissing, &foreign);
    assert!(error.to_string().contains("decrypt_only"), "{error}");
    let error = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyMissing, &foreign);
    // names are not repeated unless they are ARNs of keys: they come from storage
    copies[0].key_name = "arn:aws:kms:eu-central-1:111122223333:alias/pii\nforged line".to_owned();
    let error = unwrap(&keyring, &copies).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing);
    assert!(!format!("{error:?}").contains("forged"), "{error:?}");
    assert_eq!(kms.fake.total_calls(), 0);
    // one that says it is of our key, and is not
    copies[0].key_name.clone_from(&kms.key);
    let error = unwrap(&keyring, &copies).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyMissing, &kms.key);
}

#[tokio::test]
async fn replicas_of_a_multi_region_key_open_each_others_copies() {
    let here = FakeKms::new(REGION, ACCOUNT);
    let there = FakeKms::new(OTHER_REGION, ACCOUNT);
    let key = here.create_key_with(KeyOptions::default().multi_region()).unwrap();
    let replica = here.replicate_key(&key, &there).unwrap();
    let (server, other_server) = (here.serve().await.unwrap(), there.serve().await.unwrap());
    let keyring = KmsKeyring::with_client(client(REGION, &server.endpoint()), &key).unwrap();
    let other = KmsKeyring::with_client(client(OTHER_REGION, &other_server.endpoint()), &replica).unwrap();
    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(names(&copies), [&key]);
    drop(server);
    assert_eq!(unwrap(&other, &copies).await.unwrap(), data_key);
    assert_eq!(there.call_log()[0].resource.as_deref(), Some(&*replica));
    // moved inside the region of the replica
    let moved = other.rewrap(&copies, &binding(), &|_| true).await.unwrap();
    assert_eq!(names(&moved), [&replica]);
    assert_eq!(unwrap(&other, &moved).await.unwrap(), data_key);
    // another key of that region does not
    let single = there.create_key().unwrap();
    let single = KmsKeyring::with_client(client(OTHER_REGION, &other_server.endpoint()), single).unwrap();
    assert_error(&unwrap(&single, &copies).await.unwrap_err(), ErrorKind::KeyMissing, &key);
}

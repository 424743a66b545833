//! Names, states, versions and replicas of keys.

use aws_sdk_kms::{
    primitives::Blob,
    types::{KeyState as SdkKeyState, MultiRegionKeyType},
};
use pii_kms::testing::{ErrorCode, FakeKms, KeyOptions, KeyState};

use crate::support::{ACCOUNT, client_of, code, refused, service};

#[tokio::test]
async fn a_key_has_four_kinds_of_names() {
    let service = service().await;
    service.kms.set_alias("alias/pii", &service.key).unwrap();
    let id = service.key.rsplit('/').next().unwrap();
    for name in [id, &service.key, "alias/pii", "arn:aws:kms:eu-central-1:111122223333:alias/pii"] {
        let sealed = service.client.encrypt().key_id(name).plaintext(Blob::new("x")).send().await.unwrap();
        assert_eq!(sealed.key_id(), Some(service.key.as_str()), "{name}");
    }
}

#[tokio::test]
async fn names_that_lead_nowhere() {
    let service = service().await;
    let id = service.key.rsplit('/').next().unwrap();
    let unknown = "11111111-2222-4333-8444-555555555555";
    let not_found = "NotFoundException";
    for (name, in_decrypt, in_describe) in [
        (unknown.to_owned(), not_found, not_found),
        (format!("arn:aws:kms:eu-central-1:111122223333:key/{unknown}"), not_found, not_found),
        ("alias/unknown".to_owned(), not_found, not_found),
        ("arn:aws:kms:eu-central-1:111122223333:alias/unknown".to_owned(), not_found, not_found),
        ("not a key".to_owned(), not_found, not_found),
        (format!("key/{id}"), not_found, not_found),
        (format!("arn:aws:kms:us-east-1:111122223333:key/{id}"), not_found, not_found),
        (
            format!("arn:aws:kms:eu-central-1:999999999999:key/{id}"),
            "AccessDeniedException",
            "AccessDeniedException",
        ),
        (format!("arn:aws:s3:eu-central-1:111122223333:key/{id}"), not_found, "InvalidArnException"),
        ("arn:aws:kms:eu-central-1:111122223333:key/x".to_owned(), not_found, "InvalidArnException"),
        ("arn:aws:kms".to_owned(), not_found, "InvalidArnException"),
        (String::new(), "ValidationException", "ValidationException"),
        ("x".repeat(2049), "ValidationException", "ValidationException"),
    ] {
        let sealed = service.client.encrypt().key_id(&name).plaintext(Blob::new("x")).send().await;
        assert_eq!(code(sealed), refused(in_decrypt), "{name}");
        let described = service.client.describe_key().key_id(&name).send().await;
        assert_eq!(code(described), refused(in_describe), "{name}");
    }
    let described = service.client.describe_key().key_id("arn:aws:kms").send().await;
    assert!(described.unwrap_err().into_service_error().is_invalid_arn_exception());
    let described = service.client.describe_key().key_id(unknown).send().await;
    assert!(described.unwrap_err().into_service_error().is_not_found_exception());
}

#[tokio::test]
async fn an_alias_can_point_elsewhere() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    service.kms.set_alias("alias/pii", &service.key).unwrap();
    let seal = || service.client.encrypt().key_id("alias/pii").plaintext(Blob::new("x")).send();
    let blob = seal().await.unwrap().ciphertext_blob.unwrap();
    service.kms.set_alias("alias/pii", &other).unwrap();
    assert_eq!(seal().await.unwrap().key_id(), Some(other.as_str()));
    let opened = service.client.decrypt().key_id("alias/pii").ciphertext_blob(blob.clone()).send().await;
    assert_eq!(code(opened), refused("IncorrectKeyException"));
    assert_eq!(service.decrypt_code(&blob).await, None);
    service.kms.remove_alias("alias/pii").unwrap();
    assert_eq!(code(seal().await), refused("NotFoundException"));

    for bad in ["pii", "alias/", "alias/aws/pii", "alias/a b", "alias/a:b"] {
        assert_eq!(service.kms.set_alias(bad, &other).unwrap_err().code(), ErrorCode::Validation, "{bad}");
    }
}

#[tokio::test]
async fn states_stop_every_use_and_can_be_left() {
    let service = service().await;
    let blob = service.encrypted(b"x").await;
    for (state, sdk_state) in [
        (KeyState::Disabled, SdkKeyState::Disabled),
        (KeyState::PendingDeletion, SdkKeyState::PendingDeletion),
    ] {
        service.kms.set_key_state(&service.key, state).unwrap();
        let client = &service.client;
        let key = &service.key;
        let sealed = service.encrypt(b"x").send().await.unwrap_err().into_service_error();
        let opened = client.decrypt().ciphertext_blob(blob.clone()).send().await;
        let opened = opened.unwrap_err().into_service_error();
        let made = client.generate_data_key().key_id(key).number_of_bytes(32).send().await;
        let made = made.unwrap_err().into_service_error();
        let without =
            client.generate_data_key_without_plaintext().key_id(key).number_of_bytes(32).send().await;
        let without = without.unwrap_err().into_service_error();
        let pair =
            client.generate_data_key_pair().key_id(key).key_pair_spec("ECC_NIST_P256".into()).send().await;
        let pair = pair.unwrap_err().into_service_error();
        let moved = client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(key).send().await;
        let moved = moved.unwrap_err().into_service_error();
        let typed = match state {
            KeyState::Disabled => [
                sealed.is_disabled_exception(),
                opened.is_disabled_exception(),
                made.is_disabled_exception(),
                without.is_disabled_exception(),
                pair.is_disabled_exception(),
                moved.is_disabled_exception(),
            ],
            _ => [
                sealed.is_kms_invalid_state_exception(),
                opened.is_kms_invalid_state_exception(),
                made.is_kms_invalid_state_exception(),
                without.is_kms_invalid_state_exception(),
                pair.is_kms_invalid_state_exception(),
                moved.is_kms_invalid_state_exception(),
            ],
        };
        assert_eq!(typed, [true; 6], "{state:?}");
        let metadata = client.describe_key().key_id(key).send().await.unwrap().key_metadata.unwrap();
        assert_eq!(metadata.key_state(), Some(&sdk_state));
        assert!(!metadata.enabled());
    }
    service.kms.set_key_state(&service.key, KeyState::Enabled).unwrap();
    assert_eq!(service.decrypt_code(&blob).await, None);
}

#[tokio::test]
async fn a_disabled_destination_stops_re_encrypt() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    let blob = service.encrypted(b"x").await;
    let call = || service.client.re_encrypt().ciphertext_blob(blob.clone()).destination_key_id(&other).send();
    assert_eq!(code(call().await), None);
    service.kms.set_key_state(&other, KeyState::Disabled).unwrap();
    assert_eq!(code(call().await), refused("DisabledException"));
}

#[tokio::test]
async fn a_deleted_key_is_not_found() {
    let service = service().await;
    let blob = service.encrypted(b"x").await;
    service.kms.set_alias("alias/pii", &service.key).unwrap();
    service.kms.delete_key(&service.key).unwrap();
    assert_eq!(service.decrypt_code(&blob).await, refused("NotFoundException"));
    let without = service.client.decrypt().ciphertext_blob(blob).send().await;
    assert!(without.unwrap_err().into_service_error().is_not_found_exception());
    assert_eq!(code(service.encrypt(b"x").send().await), refused("NotFoundException"));
    assert_eq!(
        code(service.client.describe_key().key_id(&service.key).send().await),
        refused("NotFoundException")
    );
    assert_eq!(
        code(service.client.describe_key().key_id("alias/pii").send().await),
        refused("NotFoundException")
    );
    let error = service.kms.set_key_state(&service.key, KeyState::Enabled).unwrap_err();
    assert_eq!(error.code(), ErrorCode::NotFound);
}

#[tokio::test]
async fn rotation_keeps_old_versions() {
    let service = service().await;
    let mut blobs = vec![service.encrypted(b"x").await];
    for _ in 0..3 {
        service.kms.rotate_key(&service.key).unwrap();
        blobs.push(service.encrypted(b"x").await);
    }
    // where blobs name the version of their key
    let mut versions: Vec<&[u8]> = blobs.iter().map(|blob| &blob.as_ref()[38..54]).collect();
    versions.dedup();
    assert_eq!(versions.len(), 4);
    for blob in &blobs {
        assert_eq!(service.decrypt_code(blob).await, None);
    }
    // one version's blob under another version's name
    let mut mixed = blobs[0].as_ref().to_vec();
    mixed[38..54].copy_from_slice(&blobs[1].as_ref()[38..54]);
    assert_eq!(service.decrypt_code(&Blob::new(mixed)).await, refused("InvalidCiphertextException"));
}

#[tokio::test]
async fn replicas_share_material_and_nothing_else() {
    let service = service().await;
    let there = FakeKms::new("us-east-1", ACCOUNT);
    let server = there.serve().await.unwrap();
    let client = client_of(&server, "us-east-1");
    let key = service.kms.create_key_with(KeyOptions::default().multi_region()).unwrap();
    let id = key.rsplit('/').next().unwrap();
    assert!(id.starts_with("mrk-") && id.len() == 36);
    let replica = service.kms.replicate_key(&key, &there).unwrap();
    assert_eq!(replica, format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/{id}"));

    let seal =
        || service.client.encrypt().key_id(&key).plaintext(Blob::new("x")).encryption_context("a", "b");
    let open = |blob: Blob, context: &'static str| {
        client.decrypt().key_id(&replica).ciphertext_blob(blob).encryption_context("a", context).send()
    };
    let blob = seal().send().await.unwrap().ciphertext_blob.unwrap();
    service.kms.rotate_key(&key).unwrap();
    let rotated = seal().send().await.unwrap().ciphertext_blob.unwrap();
    for blob in [blob.clone(), rotated] {
        let opened = open(blob, "b").await.unwrap();
        assert_eq!(opened.plaintext().unwrap().as_ref(), b"x");
        assert_eq!(opened.key_id(), Some(replica.as_str()));
    }
    assert_eq!(code(open(blob.clone(), "c").await), refused("InvalidCiphertextException"));

    // the state is of the region
    service.kms.set_key_state(&key, KeyState::Disabled).unwrap();
    assert_eq!(code(seal().send().await), refused("DisabledException"));
    assert_eq!(code(open(blob, "b").await), None);
    // the ARN of the other region is not found here
    let by_arn = service.client.describe_key().key_id(&replica).send().await;
    assert_eq!(code(by_arn), refused("NotFoundException"));

    let metadata = client.describe_key().key_id(&replica).send().await.unwrap().key_metadata.unwrap();
    assert_eq!(metadata.multi_region(), Some(true));
    let regions = metadata.multi_region_configuration().unwrap();
    assert_eq!(regions.multi_region_key_type(), Some(&MultiRegionKeyType::Replica));
    assert_eq!(regions.primary_key().unwrap().arn(), Some(key.as_str()));
    assert_eq!(regions.replica_keys()[0].arn(), Some(replica.as_str()));
}

#[test]
fn what_cannot_be_replicated() {
    let here = FakeKms::new("eu-central-1", ACCOUNT);
    let there = FakeKms::new("us-east-1", ACCOUNT);
    let single = here.create_key().unwrap();
    let error = here.replicate_key(&single, &there).unwrap_err();
    assert_eq!(error.code(), ErrorCode::UnsupportedOperation);
    let multi = here.create_key_with(KeyOptions::default().multi_region()).unwrap();
    let stranger = FakeKms::new("us-east-1", "444455556666");
    assert_eq!(here.replicate_key(&multi, &stranger).unwrap_err().code(), ErrorCode::Validation);
    here.replicate_key(&multi, &there).unwrap();
    assert_eq!(here.replicate_key(&multi, &there).unwrap_err().code(), ErrorCode::AlreadyExists);
}

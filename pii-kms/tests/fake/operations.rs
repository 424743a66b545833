//! Every operation, as the SDK sees it.

use aws_sdk_kms::{
    primitives::Blob,
    types::{
        DataKeyPairSpec, DataKeySpec, EncryptionAlgorithmSpec, KeyManagerType, KeySpec, KeyState,
        KeyUsageType, OriginType,
    },
};
use p256::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _};
use pii_kms::testing::{KeyOptions, Operation};

use crate::support::{ACCOUNT, code, refused, service};

#[tokio::test]
async fn encrypt_and_decrypt() {
    let service = service().await;
    let sealed =
        service.encrypt(b"ada@example.com").encryption_context("tenant", "acme").send().await.unwrap();
    assert_eq!(sealed.key_id(), Some(service.key.as_str()));
    assert_eq!(sealed.encryption_algorithm(), Some(&EncryptionAlgorithmSpec::SymmetricDefault));
    let blob = sealed.ciphertext_blob.unwrap();
    for named in [true, false] {
        let mut call = service.client.decrypt().ciphertext_blob(blob.clone());
        if named {
            call = call.key_id(&service.key);
        }
        let opened = call.encryption_context("tenant", "acme").send().await.unwrap();
        assert_eq!(opened.plaintext().unwrap().as_ref(), b"ada@example.com");
        assert_eq!(opened.key_id(), Some(service.key.as_str()));
    }
    let again =
        service.encrypt(b"ada@example.com").encryption_context("tenant", "acme").send().await.unwrap();
    assert_ne!(again.ciphertext_blob.unwrap(), blob);
}

#[tokio::test]
async fn data_keys() {
    let service = service().await;
    for (spec, number, length) in [
        (Some(DataKeySpec::Aes256), None, 32),
        (Some(DataKeySpec::Aes128), None, 16),
        (None, Some(1), 1),
        (None, Some(1024), 1024),
    ] {
        let made = service
            .client
            .generate_data_key()
            .key_id(&service.key)
            .set_key_spec(spec.clone())
            .set_number_of_bytes(number)
            .encryption_context("a", "b")
            .send()
            .await
            .unwrap();
        assert_eq!(made.key_id(), Some(service.key.as_str()));
        let plaintext = made.plaintext.unwrap();
        assert_eq!(plaintext.as_ref().len(), length);
        let opened = service
            .client
            .decrypt()
            .ciphertext_blob(made.ciphertext_blob.unwrap())
            .encryption_context("a", "b")
            .send()
            .await
            .unwrap();
        assert_eq!(opened.plaintext.unwrap(), plaintext);

        let without = service
            .client
            .generate_data_key_without_plaintext()
            .key_id(&service.key)
            .set_key_spec(spec)
            .set_number_of_bytes(number)
            .send()
            .await
            .unwrap();
        let opened =
            service.client.decrypt().ciphertext_blob(without.ciphertext_blob.unwrap()).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap().as_ref().len(), length);
    }
}

#[tokio::test]
async fn data_keys_need_exactly_one_size() {
    let service = service().await;
    let call = |spec: Option<DataKeySpec>, number: Option<i32>| {
        let call = service.client.generate_data_key().key_id(&service.key);
        call.set_key_spec(spec).set_number_of_bytes(number).send()
    };
    assert_eq!(code(call(None, None).await), refused("ValidationException"));
    assert_eq!(code(call(Some(DataKeySpec::Aes256), Some(32)).await), refused("ValidationException"));
    assert_eq!(code(call(None, Some(0)).await), refused("ValidationException"));
    assert_eq!(code(call(None, Some(1025)).await), refused("ValidationException"));
    assert_eq!(code(call(Some(DataKeySpec::from("AES_512")), None).await), refused("ValidationException"));
    assert_eq!(code(call(Some(DataKeySpec::Aes256), None).await), None);
}

#[tokio::test]
async fn key_pairs_in_standard_encodings() {
    let service = service().await;
    let made = service
        .client
        .generate_data_key_pair()
        .key_id(&service.key)
        .key_pair_spec(DataKeyPairSpec::EccNistP256)
        .encryption_context("a", "b")
        .send()
        .await
        .unwrap();
    assert_eq!(made.key_pair_spec(), Some(&DataKeyPairSpec::EccNistP256));
    let private_der = made.private_key_plaintext.unwrap();
    let private = p256::SecretKey::from_pkcs8_der(private_der.as_ref()).unwrap();
    let public = p256::PublicKey::from_public_key_der(made.public_key.unwrap().as_ref()).unwrap();
    assert_eq!(private.public_key(), public);
    let decrypt = |context: &str| {
        let blob = made.private_key_ciphertext_blob.clone().unwrap();
        service.client.decrypt().ciphertext_blob(blob).encryption_context("a", context).send()
    };
    assert_eq!(decrypt("b").await.unwrap().plaintext.unwrap(), private_der);
    assert_eq!(code(decrypt("c").await), refused("InvalidCiphertextException"));

    let without = service
        .client
        .generate_data_key_pair_without_plaintext()
        .key_id(&service.key)
        .key_pair_spec(DataKeyPairSpec::EccNistP256)
        .send()
        .await
        .unwrap();
    let opened = service
        .client
        .decrypt()
        .ciphertext_blob(without.private_key_ciphertext_blob.unwrap())
        .send()
        .await
        .unwrap();
    let private = p256::SecretKey::from_pkcs8_der(opened.plaintext.unwrap().as_ref()).unwrap();
    let public = p256::PublicKey::from_public_key_der(without.public_key.unwrap().as_ref()).unwrap();
    assert_eq!(private.public_key(), public);

    let other = service.client.generate_data_key_pair().key_id(&service.key);
    let other = other.key_pair_spec(DataKeyPairSpec::Rsa2048).send().await;
    assert_eq!(code(other), refused("UnsupportedOperationException"));
}

#[tokio::test]
async fn re_encrypt_changes_key_and_context() {
    let service = service().await;
    let other = service.kms.create_key().unwrap();
    let blob = service.encrypt(b"x").encryption_context("a", "old").send().await.unwrap();
    let blob = blob.ciphertext_blob.unwrap();
    let call = |source: Option<&str>, context: &str| {
        service
            .client
            .re_encrypt()
            .ciphertext_blob(blob.clone())
            .set_source_key_id(source.map(str::to_owned))
            .source_encryption_context("a", context)
            .destination_key_id(&other)
            .destination_encryption_context("a", "new")
            .send()
    };
    let moved = call(None, "old").await.unwrap();
    assert_eq!(moved.key_id(), Some(other.as_str()));
    assert_eq!(moved.source_key_id(), Some(service.key.as_str()));
    let decrypt = |context: &'static str| {
        let moved = moved.ciphertext_blob.clone().unwrap();
        service.client.decrypt().key_id(&other).ciphertext_blob(moved).encryption_context("a", context)
    };
    assert_eq!(decrypt("new").send().await.unwrap().plaintext.unwrap().as_ref(), b"x");
    assert_eq!(code(decrypt("old").send().await), refused("InvalidCiphertextException"));

    assert_eq!(code(call(Some(&service.key), "old").await), None);
    assert_eq!(code(call(Some(&other), "old").await), refused("IncorrectKeyException"));
    assert_eq!(code(call(None, "new").await), refused("InvalidCiphertextException"));
    assert_eq!(service.kms.calls(Operation::ReEncrypt), 4);
}

#[tokio::test]
async fn describe_key_and_list_aliases() {
    let service = service().await;
    let options = KeyOptions::default().description("for the tests");
    let key = service.kms.create_key_with(options).unwrap();
    service.kms.set_alias("alias/pii", &key).unwrap();
    let described = service.client.describe_key().key_id("alias/pii").send().await.unwrap();
    let metadata = described.key_metadata.unwrap();
    assert_eq!(metadata.arn(), Some(key.as_str()));
    assert_eq!(key.rsplit('/').next(), Some(metadata.key_id()));
    assert_eq!(metadata.aws_account_id(), Some(ACCOUNT));
    assert_eq!(metadata.description(), Some("for the tests"));
    assert!(metadata.enabled());
    assert_eq!(metadata.key_state(), Some(&KeyState::Enabled));
    assert_eq!(metadata.key_usage(), Some(&KeyUsageType::EncryptDecrypt));
    assert_eq!(metadata.key_spec(), Some(&KeySpec::SymmetricDefault));
    assert_eq!(metadata.key_manager(), Some(&KeyManagerType::Customer));
    assert_eq!(metadata.origin(), Some(&OriginType::AwsKms));
    assert_eq!(metadata.multi_region(), Some(false));
    assert!(metadata.creation_date().is_some());

    let all = service.client.list_aliases().send().await.unwrap();
    let alias = &all.aliases()[0];
    assert_eq!(all.aliases().len(), 1);
    assert_eq!(alias.alias_name(), Some("alias/pii"));
    assert_eq!(alias.alias_arn(), Some("arn:aws:kms:eu-central-1:111122223333:alias/pii"));
    assert_eq!(alias.target_key_id(), Some(metadata.key_id()));
    let of_other = service.client.list_aliases().key_id(&service.key).send().await.unwrap();
    assert!(of_other.aliases().is_empty());
}

#[tokio::test]
async fn sizes_have_limits() {
    let service = service().await;
    assert_eq!(code(service.encrypt(&[7; 4096]).send().await), None);
    assert_eq!(code(service.encrypt(&[7; 4097]).send().await), refused("ValidationException"));
    assert_eq!(code(service.encrypt(b"").send().await), refused("ValidationException"));
    assert_eq!(service.decrypt_code(&Blob::new("")).await, refused("ValidationException"));
    assert_eq!(service.decrypt_code(&Blob::new(vec![1; 6145])).await, refused("ValidationException"));
    assert_eq!(service.decrypt_code(&Blob::new(vec![1; 6144])).await, refused("InvalidCiphertextException"));
}

#[tokio::test]
async fn a_dry_run_says_what_would_happen() {
    let service = service().await;
    let error = service.encrypt(b"x").dry_run(true).send().await.unwrap_err().into_service_error();
    assert!(error.is_dry_run_operation_exception());
    service.kms.allow_only([]);
    assert_eq!(code(service.encrypt(b"x").dry_run(true).send().await), refused("AccessDeniedException"));
}

#[tokio::test]
async fn another_algorithm_is_refused() {
    let service = service().await;
    let call = service.encrypt(b"x").encryption_algorithm(EncryptionAlgorithmSpec::RsaesOaepSha256);
    assert!(call.send().await.unwrap_err().into_service_error().is_invalid_key_usage_exception());
    let call = service.encrypt(b"x").encryption_algorithm(EncryptionAlgorithmSpec::SymmetricDefault);
    assert_eq!(code(call.send().await), None);
}

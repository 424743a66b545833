//! Services that may only write, or only read; grants.

use pii::{
    DataKey, ErrorKind, Keyring as _, KmsKeyring, Purpose,
    testing::kms::{FakeKms, Operation},
};
use serde_json::json;

use super::support::{
    Kms, REGION, TENANT, assert_error, binding, binding_for, client, copies_of, unwrap, unwrap_for,
};

async fn keyring_with_policy(kms: &Kms, statement: serde_json::Value) -> (KmsKeyring, impl Drop + use<>) {
    let role: FakeKms = kms.fake.role("limited");
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    role.apply_iam_policy(&policy.to_string()).unwrap();
    let server = role.serve().await.unwrap();
    let keyring = KmsKeyring::with_client(client(REGION, &server.endpoint()), &kms.key).unwrap();
    (keyring, server)
}

#[tokio::test]
async fn a_write_only_service_needs_generate_data_key_for_one_purpose() {
    let kms = Kms::start().await;
    let (writer, _server) = keyring_with_policy(
        &kms,
        json!({
            "Effect": "Allow",
            "Action": "kms:GenerateDataKey",
            "Resource": kms.key,
            "Condition": { "StringEquals": { "kms:EncryptionContext:pii:purpose": "drop" } },
        }),
    )
    .await;
    let drop_binding = binding_for(Purpose::Drop, TENANT);
    let made = writer.generate(&drop_binding).await.unwrap();
    for purpose in [Purpose::Seal, Purpose::Index, Purpose::Subject] {
        let error = writer.generate(&binding_for(purpose, TENANT)).await.unwrap_err();
        assert_error(&error, ErrorKind::KeyDenied, &kms.key);
    }
    let error = unwrap_for(&writer, &made.copies, &drop_binding).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDenied, &kms.key);
    assert_eq!(writer.wrap(&made.data_key, &drop_binding).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    // readers open what it wrote
    let opened = unwrap_for(&kms.keyring(), &made.copies, &drop_binding).await.unwrap();
    assert_eq!(&opened, made.data_key.expose_bytes());
}

#[tokio::test]
async fn a_read_only_service_needs_decrypt() {
    let kms = Kms::start().await;
    let (copies, data_key) = copies_of(&kms.keyring()).await;
    let (reader, _server) =
        keyring_with_policy(&kms, json!({ "Effect": "Allow", "Action": "kms:Decrypt", "Resource": kms.key }))
            .await;
    assert_eq!(unwrap(&reader, &copies).await.unwrap(), data_key);
    let key = DataKey::generate().unwrap();
    for error in [
        reader.generate(&binding()).await.unwrap_err(),
        reader.wrap(&key, &binding()).await.unwrap_err(),
        reader.rewrap(&copies, &binding(), &|_| true).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::KeyDenied);
    }
}

#[tokio::test]
async fn a_tenant_of_a_policy_is_the_only_one() {
    let kms = Kms::start().await;
    let (keyring, _server) = keyring_with_policy(
        &kms,
        json!({
            "Effect": "Allow",
            "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
            "Resource": kms.key,
            "Condition": { "StringEquals": { "kms:EncryptionContext:tenant": TENANT } },
        }),
    )
    .await;
    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    let other = binding_for(Purpose::Seal, "another-tenant");
    assert_eq!(keyring.generate(&other).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    let theirs = kms.keyring().generate(&other).await.unwrap();
    let error = unwrap_for(&keyring, &theirs.copies, &other).await.unwrap_err();
    assert_error(&error, ErrorKind::KeyDenied, &kms.key);
}

#[tokio::test]
async fn grant_tokens_go_with_every_call() {
    let kms = Kms::start().await;
    let operations = [
        Operation::DescribeKey,
        Operation::GenerateDataKey,
        Operation::Encrypt,
        Operation::Decrypt,
        Operation::ReEncrypt,
    ];
    for operation in operations {
        kms.fake.require_grant_token(&kms.key, operation, "token-of-a-grant").unwrap();
    }
    let without = kms.keyring();
    assert_error(&without.generate(&binding()).await.unwrap_err(), ErrorKind::KeyDenied, &kms.key);
    let build =
        |token: &str| KmsKeyring::builder().client(kms.client()).key("alias/pii").grant_token(token).build();
    let with = build("token-of-a-grant").unwrap();
    assert_eq!(with.resolve().await.unwrap(), [&*kms.key]);
    let generated = with.generate(&binding()).await.unwrap();
    with.wrap(&generated.data_key, &binding()).await.unwrap();
    unwrap(&with, &generated.copies).await.unwrap();
    with.rewrap(&generated.copies, &binding(), &|_| true).await.unwrap();
    let error = build("token-of-another-grant").unwrap().generate(&binding()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyDenied);
    assert!(!format!("{with:?} {error:?}").contains("token-of"), "{with:?} {error:?}");
}

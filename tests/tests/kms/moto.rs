//! A second witness: moto, which knows nothing of this library.

use aws_sdk_kms::Client;
use pii::{DataKey, ErrorKind, Keyring as _, KmsKeyring, Purpose};

use super::support::{TENANT, binding, binding_for, client, copies_of, names, unwrap, unwrap_for};

/// Where moto's default account lives.
const MOTO_REGION: &str = "us-east-1";

fn moto() -> Client {
    let endpoint = std::env::var("PII_TEST_KMS_ENDPOINT").ok().filter(|value| !value.is_empty()).expect(
        "PII_TEST_KMS_ENDPOINT must name a moto server: run `cargo xtask test`, or see CONTRIBUTING.md",
    );
    client(MOTO_REGION, &endpoint)
}

async fn create_key(client: &Client) -> String {
    client.create_key().send().await.unwrap().key_metadata.unwrap().arn.unwrap()
}

#[tokio::test]
async fn moto_agrees() {
    let client = moto();
    let key = create_key(&client).await;
    // unique: a server that stays up has those of earlier runs
    let alias = format!("alias/pii-{}", key.rsplit('/').next().unwrap());
    client.create_alias().alias_name(&alias).target_key_id(&key).send().await.unwrap();
    let keyring = KmsKeyring::with_client(client.clone(), &alias).unwrap();
    assert_eq!(keyring.resolve().await.unwrap(), [&*key]);

    let (copies, data_key) = copies_of(&keyring).await;
    assert_eq!(names(&copies), [&key]);
    assert_eq!(unwrap(&keyring, &copies).await.unwrap(), data_key);
    let other = binding_for(Purpose::Seal, "another-tenant");
    let error = unwrap_for(&keyring, &copies, &other).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch, "{error:?}");
    let error = unwrap_for(&keyring, &copies, &binding_for(Purpose::Drop, TENANT)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch, "{error:?}");

    let own = DataKey::generate().unwrap();
    let wrapped = keyring.wrap(&own, &binding()).await.unwrap();
    assert_eq!(&unwrap(&keyring, &wrapped).await.unwrap(), own.expose_bytes());

    let new = create_key(&client).await;
    let keyring = KmsKeyring::builder().client(client.clone()).key(&new).decrypt_only(&key).build().unwrap();
    let moved = keyring.rewrap(&copies, &binding(), &|_| true).await.unwrap();
    assert_eq!(names(&moved), [&new]);
    assert_eq!(unwrap(&keyring, &moved).await.unwrap(), data_key);
}

#[tokio::test]
async fn moto_knows_no_such_key() {
    let keyring = KmsKeyring::with_client(moto(), "alias/nothing").unwrap();
    let error = keyring.resolve().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyMissing, "{error:?}");
}

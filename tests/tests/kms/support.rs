//! Services, clients and bindings.

use std::sync::Arc;

use aws_sdk_kms::{
    Client, Config,
    config::{
        BehaviorVersion, Credentials, Region, SharedCredentialsProvider, SharedHttpClient, retry::RetryConfig,
    },
};
use aws_smithy_http_client::Builder;
use aws_types::SdkConfig;
use pii::{
    Error, ErrorKind, KeyBinding, Keyring as _, KmsKeyring, Provider, Purpose, WrappedKey, ctx,
    testing::kms::{FakeKms, FakeKmsServer},
};

pub const ACCOUNT: &str = "111122223333";
pub const REGION: &str = "eu-central-1";
pub const OTHER_REGION: &str = "eu-west-1";
pub const TENANT: &str = "canary-tenant";

pub fn http() -> SharedHttpClient {
    Builder::new().build_http()
}

pub fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
}

/// A client that tries once.
pub fn client(region: &str, endpoint: &str) -> Client {
    client_with(region, endpoint, RetryConfig::disabled())
}

pub fn client_with(region: &str, endpoint: &str, retries: RetryConfig) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(credentials())
        .http_client(http())
        .retry_config(retries);
    Client::from_conf(config.build())
}

/// Of a program that has loaded it already.
pub fn sdk_config() -> aws_types::sdk_config::Builder {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(credentials())
        .http_client(http())
        .retry_config(RetryConfig::disabled())
}

/// A region with a key, and `alias/pii` for it.
pub struct Kms {
    pub fake: FakeKms,
    pub server: FakeKmsServer,
    pub key: String,
}

impl Kms {
    pub async fn start() -> Self {
        Self::start_in(REGION).await
    }

    pub async fn start_in(region: &str) -> Self {
        let fake = FakeKms::new(region, ACCOUNT);
        let key = fake.create_key().unwrap();
        fake.set_alias("alias/pii", &key).unwrap();
        let server = fake.serve().await.unwrap();
        Self { fake, server, key }
    }

    pub fn client(&self) -> Client {
        client(&self.fake.region(), &self.server.endpoint())
    }

    /// A keyring of this region's key.
    pub fn keyring(&self) -> KmsKeyring {
        KmsKeyring::with_client(self.client(), &self.key).unwrap()
    }

    pub fn keyring_of(&self, name: &str) -> KmsKeyring {
        KmsKeyring::with_client(self.client(), name).unwrap()
    }
}

pub fn binding() -> KeyBinding {
    binding_for(Purpose::Seal, TENANT)
}

pub fn binding_for(purpose: Purpose, tenant: &str) -> KeyBinding {
    KeyBinding { context: Arc::new(ctx!(app = "billing", tenant = tenant).unwrap()), purpose, epoch: 7 }
}

/// Takes any data key for the right one.
pub async fn unwrap(keyring: &KmsKeyring, copies: &[WrappedKey]) -> Result<[u8; 32], Error> {
    unwrap_for(keyring, copies, &binding()).await
}

pub async fn unwrap_for(
    keyring: &KmsKeyring,
    copies: &[WrappedKey],
    binding: &KeyBinding,
) -> Result<[u8; 32], Error> {
    let data_key = keyring.unwrap(copies, binding, &|_| true).await?;
    Ok(*data_key.expose_bytes())
}

pub async fn copies_of(keyring: &KmsKeyring) -> (Vec<WrappedKey>, [u8; 32]) {
    let generated = keyring.generate(&binding()).await.unwrap();
    let bytes = *generated.data_key.expose_bytes();
    (generated.copies, bytes)
}

pub fn names(copies: &[WrappedKey]) -> Vec<&str> {
    assert!(copies.iter().all(|copy| copy.provider == Provider::AWS_KMS));
    copies.iter().map(|copy| copy.key_name.as_str()).collect()
}

/// The error is of this kind, names the key, says what to do, and keeps the context's values to itself.
#[track_caller]
pub fn assert_error(error: &Error, kind: ErrorKind, key: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        text.push_str(&format!(" <- {below} {below:?}"));
        source = below.source();
    }
    assert_eq!(error.key_id(), Some(key), "{text}");
    assert!(!text.contains(TENANT), "{text}");
}

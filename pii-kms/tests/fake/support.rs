//! A fake with a server, a key and a client.

use std::{
    future::Future,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake},
    thread::{self, Thread},
};

use aws_sdk_kms::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::ProvideErrorMetadata,
    operation::encrypt::builders::EncryptFluentBuilder,
    primitives::Blob,
};
use pii_kms::testing::{FakeKms, FakeKmsServer};

pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ACCOUNT: &str = "111122223333";

pub(crate) struct Service {
    pub(crate) kms: FakeKms,
    pub(crate) key: String,
    pub(crate) client: Client,
    pub(crate) server: FakeKmsServer,
}

pub(crate) async fn service() -> Service {
    let kms = FakeKms::new(REGION, ACCOUNT);
    let key = kms.create_key().unwrap();
    let server = kms.serve().await.unwrap();
    Service { client: client_of(&server, REGION), kms, key, server }
}

/// A client that tries once, so that counters tell what a test did.
pub(crate) fn client_of(server: &FakeKmsServer, region: &'static str) -> Client {
    Client::from_conf(config(server, region).retry_config(RetryConfig::disabled()).build())
}

pub(crate) fn config(server: &FakeKmsServer, region: &'static str) -> aws_sdk_kms::config::Builder {
    aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new("AKIDTEST", "secret", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
}

impl Service {
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> EncryptFluentBuilder {
        self.client.encrypt().key_id(&self.key).plaintext(Blob::new(plaintext))
    }

    pub(crate) async fn encrypted(&self, plaintext: &[u8]) -> Blob {
        self.encrypt(plaintext).send().await.unwrap().ciphertext_blob.unwrap()
    }

    /// The error code of opening a blob with the key, or `None` if it opens.
    pub(crate) async fn decrypt_code(&self, blob: &Blob) -> Option<String> {
        code(self.client.decrypt().key_id(&self.key).ciphertext_blob(blob.clone()).send().await)
    }
}

/// The code of the service's error, or `None` for a success.
pub(crate) fn code<T: std::fmt::Debug, E: ProvideErrorMetadata + std::fmt::Debug>(
    result: Result<T, E>,
) -> Option<String> {
    match result {
        Ok(_) => None,
        Err(error) => Some(error.code().unwrap_or("no code").to_owned()),
    }
}

pub(crate) fn refused(code: &str) -> Option<String> {
    Some(code.to_owned())
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future where there is no runtime.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Arc::new(Unpark(thread::current())).into();
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return value;
        }
        thread::park();
    }
}

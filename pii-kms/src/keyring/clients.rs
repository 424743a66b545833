//! One client per region, made when it is first needed and shared by the keys there.

use std::time::Duration;

use aws_sdk_kms::{
    Client,
    config::{self, BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig},
};
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_types::SdkConfig;
use futures_util::lock::Mutex;
use pii_core::{Error, ErrorKind, Result};

/// Of the clients made here. A key service that answers at all does so within milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;

/// What clients are made of.
pub(super) enum Source {
    /// The caller's client: its retries and timeouts are the caller's too.
    Client(Box<Client>),
    Config(Box<SdkConfig>),
    #[cfg(feature = "from-env")]
    Environment,
    /// Every key has a client of its own.
    #[cfg(not(feature = "from-env"))]
    Nothing,
}

pub(super) struct Clients {
    source: Source,
    region: Option<String>,
    endpoint: Option<String>,
    made: Mutex<Vec<(Option<String>, Client)>>,
}

impl Clients {
    pub(super) fn new(source: Source, region: Option<String>, endpoint: Option<String>) -> Self {
        Self { source, region, endpoint, made: Mutex::default() }
    }

    /// Fails if no client for this region can ever be made, as far as that can be told without
    /// waiting.
    pub(super) fn check(&self, region: Option<&str>) -> Result<()> {
        let known = match &self.source {
            Source::Client(client) => client.config().region().is_some(),
            Source::Config(config) => config.region().is_some(),
            #[cfg(feature = "from-env")]
            Source::Environment => true,
            #[cfg(not(feature = "from-env"))]
            Source::Nothing => return Err(no_client()),
        };
        if known || region.or(self.region.as_deref()).is_some() { Ok(()) } else { Err(no_region()) }
    }

    /// The client for keys whose name says this region, or for those whose name says none.
    pub(super) async fn of(&self, region: Option<&str>) -> Result<Client> {
        let region = region.or(self.region.as_deref());
        let mut made = self.made.lock().await;
        if let Some((_, client)) = made.iter().find(|(of, _)| of.as_deref() == region) {
            return Ok(client.clone());
        }
        let client = self.make(region).await?;
        if client.config().region().is_none() {
            return Err(no_region());
        }
        made.push((region.map(str::to_owned), client.clone()));
        Ok(client)
    }

    async fn make(&self, region: Option<&str>) -> Result<Client> {
        let mut builder = match &self.source {
            Source::Client(client) => {
                let same = region.is_none() || client.config().region().map(Region::as_ref) == region;
                if same && self.endpoint.is_none() {
                    return Ok(Client::clone(client));
                }
                client.config().to_builder()
            }
            Source::Config(config) => from_config(config)?,
            #[cfg(feature = "from-env")]
            Source::Environment => from_config(&environment(region).await)?,
            #[cfg(not(feature = "from-env"))]
            Source::Nothing => return Err(no_client()),
        };
        if let Some(region) = region {
            builder = builder.region(Region::new(region.to_owned()));
        }
        if let Some(endpoint) = &self.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        Ok(Client::from_conf(builder.build()))
    }
}

/// What the configuration leaves open gets a value here. The SDK panics when it makes a client that
/// lacks something, so that is checked before.
fn from_config(config: &SdkConfig) -> Result<config::Builder> {
    let sleep = config.sleep_impl().or_else(default_async_sleep).ok_or_else(|| {
        Error::new(ErrorKind::Configuration)
            .message("the AWS SDK has no async runtime to wait with")
            .help("add `aws-config = \"1\"` with its default features to Cargo.toml")
    })?;
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(CALL_TIMEOUT)
        .build();
    let timeouts = match config.timeout_config() {
        Some(given) => given.to_builder().take_unset_from(timeouts.into_builder()).build(),
        None => timeouts,
    };
    let retries = config.retry_config().cloned();
    let builder = config::Builder::from(config)
        .timeout_config(timeouts)
        .retry_config(retries.unwrap_or_else(|| RetryConfig::standard().with_max_attempts(ATTEMPTS)))
        .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest));
    let mut builder = builder;
    builder.set_sleep_impl(Some(sleep));
    Ok(builder)
}

#[cfg(feature = "from-env")]
async fn environment(region: Option<&str>) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(region) = region {
        // otherwise the SDK asks the instance metadata service for it, and waits if there is none
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

fn no_region() -> Error {
    Error::new(ErrorKind::Configuration)
        .message("no AWS region for the KMS key")
        .help("name the key by its ARN, set AWS_REGION, or use `KmsKeyring::builder().region(..)`")
}

#[cfg(not(feature = "from-env"))]
fn no_client() -> Error {
    Error::new(ErrorKind::Configuration)
        .message("a KMS key without a client")
        .help(
            "give the keyring a client or an `SdkConfig`, or build with the feature `kms-from-env` of `pii` \
             (`from-env` of `pii-kms`)",
        )
}

//! One client per region, made when it is first needed and shared by the keys there.

use aws_sdk_kms::{
    Client,
    config::{self, Region},
};
use aws_types::SdkConfig;
use futures_util::lock::Mutex;
use pii_core::{Error, ErrorKind, Result};

use crate::sdk;

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
            Source::Config(config) => config::Builder::from(&sdk::complete(config)?),
            #[cfg(feature = "from-env")]
            Source::Environment => config::Builder::from(&sdk::environment(region).await?),
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

fn no_region() -> Error {
    Error::new(ErrorKind::Configuration)
        .message("no AWS region for the KMS key")
        .help("name the key by its ARN, set AWS_REGION, or use `KmsKeyring::builder().region(..)`")
}

#[cfg(not(feature = "from-env"))]
fn no_client() -> Error {
    Error::new(ErrorKind::Configuration).message("a KMS key without a client").help(
        "give the keyring a client or an `SdkConfig`, or build with the feature `kms-from-env` of `pii` \
             (`from-env` of `pii-kms`)",
    )
}

//! What every client of the AWS SDK gets here, and how its calls are made.

use std::time::Duration;

use aws_sdk_kms::config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_smithy_async::rt::sleep::default_async_sleep;
use aws_types::SdkConfig;
pub(crate) use pii_core::__private::silently;
use pii_core::{Error, ErrorKind, Result};

/// Of the clients made here. A service that answers at all does so within milliseconds.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS: u32 = 3;

/// Gives values to what a configuration leaves open. The SDK panics when it makes a client that lacks
/// something, so that is checked before.
pub(crate) fn complete(config: &SdkConfig) -> Result<SdkConfig> {
    let sleep = config.sleep_impl().or_else(default_async_sleep).ok_or_else(|| {
        Error::new(ErrorKind::Configuration)
            .message("the AWS SDK has no async runtime to wait with")
            .help("add `aws-config = \"1\"` with its default features to Cargo.toml")
    })?;
    let ours =
        TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(CALL_TIMEOUT);
    let timeouts = match config.timeout_config() {
        Some(given) => given.to_builder().take_unset_from(ours),
        None => ours,
    };
    let retries = config.retry_config().cloned();
    let mut builder = config
        .to_builder()
        .timeout_config(timeouts.build())
        .retry_config(retries.unwrap_or_else(|| RetryConfig::standard().with_max_attempts(ATTEMPTS)))
        .behavior_version(config.behavior_version().unwrap_or_else(BehaviorVersion::latest));
    builder.set_sleep_impl(Some(sleep));
    Ok(builder.build())
}

/// What variables, profiles and the machine say, in this region if it is given.
#[cfg(feature = "from-env")]
pub(crate) async fn environment(region: Option<&str>) -> Result<SdkConfig> {
    let version = BehaviorVersion::latest();
    // without one, a debug build of the SDK panics when it looks for credentials
    if aws_smithy_runtime::client::defaults::default_http_client_plugin_v2(version).is_none() {
        return Err(Error::new(ErrorKind::Configuration).message("the AWS SDK has no HTTP client").help(
            "add `aws-config = \"1\"` with its default features to Cargo.toml, or pass a configuration",
        ));
    }
    let mut loader = aws_config::defaults(version);
    if let Some(region) = region {
        // otherwise the SDK asks the instance metadata service for it, and waits if there is none
        loader = loader.region(aws_sdk_kms::config::Region::new(region.to_owned()));
    }
    complete(&silently(loader.load()).await)
}

#[cfg(feature = "secrets-manager")]
pub(crate) fn no_region(of: &str) -> Error {
    Error::new(ErrorKind::Configuration)
        .key(of)
        .message("no AWS region")
        .help("give the ARN, which names it, set AWS_REGION, or give the client a region")
}

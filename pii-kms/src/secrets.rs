//! Application keys from AWS Secrets Manager.

use std::{fmt, sync::OnceLock};

use aws_sdk_secretsmanager::{
    Client,
    config::{self, Region},
};
use aws_types::SdkConfig;
use pii_core::{AppKeySource, AppKeys, BoxFuture, Error, ErrorKind, Result};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    error::{Call, error_of},
    sdk,
};

const CALL: Call =
    Call { service: "AWS Secrets Manager", thing: "secret", action: "secretsmanager:GetSecretValue" };
/// The longest `SecretId` (API reference).
const MAX_NAME_BYTES: usize = 2048;

/// The application keys of level 3 in a secret of AWS Secrets Manager, whose text is what
/// [`AppKeys::from_json`] reads.
///
/// The cryptor loads the secret when it needs it, again after a while, and when a value names a key
/// that is not among those loaded: a new version in the secret takes effect without a restart. The
/// service needs `secretsmanager:GetSecretValue` on the secret, and `kms:Decrypt` on the key that
/// protects it.
///
/// The two locks of level 3 are worth something only where one thief can't take both keys at once:
/// protect the secret by another KMS key than the one that wraps data keys.
///
/// The secret's text is wiped after it was read; the buffers of the SDK and of TLS through which it
/// came are not. Retries and timeouts are as with [`KmsKeyring`](crate::KmsKeyring).
///
/// ```no_run
/// # use pii_core as pii; // in a program: use pii::{..., SecretsManagerAppKeys};
/// use pii::{Cryptor, LocalKeyring};
/// # use pii_kms::SecretsManagerAppKeys;
///
/// # fn cryptor(config: &aws_types::SdkConfig) -> pii::Result<Cryptor> {
/// Cryptor::envelope()
///     .keyring(LocalKeyring::open("pii.key")?)
///     .app_keys(SecretsManagerAppKeys::from_config(config, "pii/app-keys")?)
///     .build()
/// # }
/// ```
pub struct SecretsManagerAppKeys {
    secret: String,
    client: OnceLock<Client>,
}

impl SecretsManagerAppKeys {
    /// The secret of this name or ARN, through a client of your own. It is not read yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the name is empty or too long, if the client has no region, or
    /// another one than the secret's ARN.
    pub fn with_client(client: Client, secret: impl Into<String>) -> Result<Self> {
        let secret = checked(secret.into())?;
        let Some(region) = client.config().region() else { return Err(sdk::no_region(&secret)) };
        if region_of(&secret).is_some_and(|named| named != region.as_ref()) {
            return Err(Error::new(ErrorKind::Configuration)
                .key(secret)
                .message("the client is for another region than the secret")
                .help("make one for the region in the secret's ARN"));
        }
        Ok(Self { secret, client: client.into() })
    }

    /// The secret of this name or ARN, with the region, the credentials and the HTTP client of a
    /// configuration that you have already. An ARN says the region itself.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the name is empty or too long, or no region is known.
    pub fn from_config(config: &SdkConfig, secret: impl Into<String>) -> Result<Self> {
        let secret = checked(secret.into())?;
        let client = client(config, &secret)?;
        Self::with_client(client, secret)
    }

    /// The secret of this name or ARN, with region and credentials as the AWS command line finds
    /// them: variables, profiles, roles. They are looked for at the first load; TLS comes from your
    /// own dependency on `aws-config`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the name is empty or too long.
    #[cfg(feature = "from-env")]
    pub fn from_env(secret: impl Into<String>) -> Result<Self> {
        Ok(Self { secret: checked(secret.into())?, client: OnceLock::new() })
    }

    #[cfg(feature = "from-env")]
    async fn client(&self) -> Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let made = client(&sdk::environment(region_of(&self.secret)).await?, &self.secret)?;
        Ok(self.client.get_or_init(|| made))
    }

    #[cfg(not(feature = "from-env"))]
    async fn client(&self) -> Result<&Client> {
        self.client.get().ok_or_else(|| sdk::no_region(&self.secret))
    }

    async fn load_now(&self) -> Result<AppKeys> {
        let request = self.client().await?.get_secret_value().secret_id(&self.secret);
        let answer =
            sdk::silently(request.send()).await.map_err(|error| error_of(CALL, &self.secret, &error))?;
        if let Some(binary) = answer.secret_binary {
            binary.into_inner().zeroize();
        }
        let Some(text) = answer.secret_string.map(Zeroizing::new) else {
            return Err(Error::new(ErrorKind::Configuration)
                .key(&self.secret)
                .message("the secret with the application keys is not text")
                .help("store it as a string (`SecretString`), not as binary"));
        };
        AppKeys::from_json(&text).map_err(|error| error.key(&self.secret))
    }
}

impl AppKeySource for SecretsManagerAppKeys {
    fn load<'a>(&'a self) -> BoxFuture<'a, Result<AppKeys>> {
        Box::pin(self.load_now())
    }
}

impl fmt::Debug for SecretsManagerAppKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretsManagerAppKeys({:?})", self.secret)
    }
}

fn client(config: &SdkConfig, secret: &str) -> Result<Client> {
    let mut builder = config::Builder::from(&sdk::complete(config)?);
    if let Some(region) = region_of(secret) {
        builder = builder.region(Region::new(region.to_owned()));
    }
    let config = builder.build();
    if config.region().is_none() {
        return Err(sdk::no_region(secret));
    }
    Ok(Client::from_conf(config))
}

fn checked(secret: String) -> Result<String> {
    if !secret.is_empty() && secret.len() <= MAX_NAME_BYTES {
        return Ok(secret);
    }
    // not repeated: it may be the secret itself, given by mistake
    Err(Error::new(ErrorKind::Configuration)
        .message("the name of the secret is empty, or longer than 2,048 bytes")
        .help("give the name or the ARN of a secret in AWS Secrets Manager"))
}

/// `arn:aws:secretsmanager:REGION:...`
fn region_of(secret: &str) -> Option<&str> {
    let mut parts = secret.split(':');
    let is_arn = parts.next() == Some("arn");
    parts.nth(2).filter(|region| is_arn && !region.is_empty())
}

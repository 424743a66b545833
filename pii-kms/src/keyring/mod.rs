//! Data keys wrapped by keys of AWS KMS.

mod builder;
mod calls;
mod clients;
mod key;
mod unwrap;
mod wrap;

use std::{fmt, sync::Arc};

use aws_sdk_kms::Client;
use aws_types::SdkConfig;
use futures_util::future::join_all;
use pii_core::{BoxFuture, DataKey, GeneratedKey, KeyBinding, Keyring, Result, WrappedKey};

pub use builder::KmsKeyringBuilder;
use clients::Clients;
use key::KmsKey;

/// A keyring whose key-encryption keys are in AWS KMS, and never leave it.
///
/// A new data key costs one call to KMS (`GenerateDataKey`) and one more (`Encrypt`) for each further
/// key; opening one costs one call (`Decrypt`). Cryptors keep data keys for a while, so that a million
/// values of one context need one call each way.
///
#[cfg_attr(feature = "from-env", doc = "```no_run")]
#[cfg_attr(not(feature = "from-env"), doc = "```ignore")]
/// # use pii_core as pii; // in a program: use pii::{Cryptor, KmsKeyring};
/// # use pii::Cryptor;
/// # use pii_kms::KmsKeyring;
/// let keyring = KmsKeyring::from_env("alias/pii")?;
/// let cryptor = Cryptor::envelope().keyring(keyring).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
///
/// # Which key
/// A key is named by its id, its ARN, an alias, or the ARN of an alias. The first use finds out which
/// key the name stands for (`kms:DescribeKey`; where that is denied, the first successful call tells),
/// and the keyring keeps to it: an alias that is moved later changes nothing until the process starts
/// again. Stored copies carry the key's ARN. One that carries another than those of this keyring is
/// refused before any call, and `Decrypt` always names the key that is expected. Replicas of a
/// multi-Region key open each other's copies.
///
/// # Several keys
/// With several keys, in several regions or accounts, every data key is wrapped by each of them, and
/// any one opens it: in the order in which the keys are stated, going on with the next if one is
/// denied, disabled, throttled or can't be reached. If none opens, the error is the most telling one:
/// a key that is disabled or denied before an altered copy, that before an outage, that before a key
/// that does not exist.
///
/// # What is bound
/// Each call passes the encryption context of the value and two pairs more: `pii:purpose` and
/// `pii:epoch`. IAM and key policies can ask for them (`kms:EncryptionContext:pii:purpose`). All of
/// it appears in CloudTrail in clear text.
///
/// A service that only writes needs `kms:GenerateDataKey` (and `kms:Encrypt` on the keys after the
/// first), one that only reads needs `kms:Decrypt`.
///
/// # Retries and timeouts
/// Those of the client: this keyring adds none. Clients made here try three times, wait 2 seconds for
/// an answer and 10 for all of it, unless the configuration given says otherwise. Calls are futures
/// that need the runtime of the client, and block no thread.
///
/// # Memory and logs
/// Data keys are wiped when they are dropped. The buffers of the SDK and of TLS through which they
/// came are not. While a call is under way, the own events of the SDK (`tracing`) are dropped: at TRACE it
/// may log context values and data keys.
#[derive(Clone)]
pub struct KmsKeyring(Arc<Inner>);

struct Inner {
    keys: Vec<KmsKey>,
    clients: Clients,
    grant_tokens: Vec<String>,
    required_copies: usize,
}

impl KmsKeyring {
    /// A keyring of one key, through a client of your own.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](pii_core::ErrorKind::Configuration) if the name is none of a KMS
    /// key, or no region is known.
    pub fn with_client(client: Client, key: impl Into<String>) -> Result<Self> {
        Self::builder().client(client).key(key).build()
    }

    /// A keyring of one key, with the region, the credentials and the HTTP client of a configuration
    /// that you have already.
    ///
    /// # Errors
    /// As [`KmsKeyring::with_client`].
    pub fn from_config(config: &SdkConfig, key: impl Into<String>) -> Result<Self> {
        Self::builder().config(config).key(key).build()
    }

    /// A keyring of one key, with region and credentials as the AWS command line finds them:
    /// variables, profiles, roles. They are looked for at the first use.
    ///
    /// This library chooses no TLS stack: your program does, by depending on `aws-config` with its
    /// default features, or with those of your choice.
    ///
    /// # Errors
    /// As [`KmsKeyring::with_client`]. What is found out at the first use is an error there.
    #[cfg(feature = "from-env")]
    pub fn from_env(key: impl Into<String>) -> Result<Self> {
        Self::builder().key(key).build()
    }

    /// Several keys, grant tokens, another endpoint.
    pub fn builder() -> KmsKeyringBuilder {
        KmsKeyringBuilder::default()
    }

    /// Finds out which keys the names stand for, and returns their ARNs in the order in which they
    /// were stated: to fail when a program starts, not at the first value. A key that may not be
    /// described is given by its name.
    ///
    /// # Errors
    /// Key errors, such as [`ErrorKind::KeyMissing`](pii_core::ErrorKind::KeyMissing); configuration
    /// errors, such as missing credentials.
    pub async fn resolve(&self) -> Result<Vec<String>> {
        let resolved = self.0.keys.iter().map(|key| async {
            self.0.ready(key).await?;
            Ok(key.name().to_owned())
        });
        join_all(resolved).await.into_iter().collect()
    }
}

impl Inner {
    fn wrapping_keys(&self) -> impl Iterator<Item = &KmsKey> {
        self.keys.iter().filter(|key| key.wraps)
    }

    /// The client of a key whose name has been looked up.
    async fn ready<'a>(&self, key: &'a KmsKey) -> Result<&'a Client> {
        let client = key.client(&self.clients).await?;
        key.resolve(client, &self.grant_tokens).await?;
        Ok(client)
    }
}

impl fmt::Debug for KmsKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.keys.iter().map(KmsKey::name).collect();
        write!(f, "KmsKeyring({names:?})")
    }
}

impl Keyring for KmsKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(self.0.generate(binding))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(self.0.unwrap(copies, binding, is_wanted))
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(self.0.wrap(data_key, binding))
    }

    /// Inside KMS (`kms:ReEncrypt`) wherever a copy and the key that it goes to are in one region:
    /// then the data key is not shown to this process, and `is_wanted` can't be asked. A copy that
    /// opened under this binding before opens after it; whether it is of the right data key shows
    /// when it is unwrapped. Elsewhere the data key is unwrapped here, and wrapped again.
    fn rewrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(self.0.rewrap(copies, binding, is_wanted))
    }
}

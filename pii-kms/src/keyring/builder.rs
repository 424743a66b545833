//! Setting up a keyring.

use std::{fmt, sync::Arc};

use aws_sdk_kms::{Client, config::Region};
use aws_types::SdkConfig;
use pii_core::{Error, ErrorKind, Result};

use super::{
    Inner, KmsKeyring,
    clients::{Clients, Source},
    key::KmsKey,
};
use crate::key_reference::KeyReference;

/// A value holds 8 copies at most.
const MAX_WRAPPING_KEYS: usize = 8;

struct StatedKey {
    name: String,
    wraps: bool,
    client: Option<Client>,
}

/// Sets up a [`KmsKeyring`].
///
/// ```no_run
/// # use pii_core as pii; // in a program: use pii::KmsKeyring;
/// # use pii_kms::KmsKeyring;
/// # fn keyring(config: &aws_types::SdkConfig) -> pii::Result<KmsKeyring> {
/// KmsKeyring::builder()
///     .config(config)
///     .key("arn:aws:kms:eu-central-1:111122223333:alias/pii")
///     .key("arn:aws:kms:eu-west-1:444455556666:key/1234abcd-12ab-34cd-56ef-1234567890ab")
///     .decrypt_only("arn:aws:kms:eu-central-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321")
///     .build()
/// # }
/// ```
#[derive(Default)]
#[must_use]
pub struct KmsKeyringBuilder {
    client: Option<Client>,
    config: Option<SdkConfig>,
    region: Option<String>,
    endpoint: Option<String>,
    keys: Vec<StatedKey>,
    grant_tokens: Vec<String>,
    required_copies: Option<usize>,
}

impl KmsKeyringBuilder {
    /// The client to use. For keys in other regions than the client's, clients are made that differ
    /// from it in the region alone.
    pub fn client(mut self, client: Client) -> Self {
        self.client = Some(client);
        self
    }

    /// The configuration of which clients are made, one per region. Without client and
    /// configuration, they are made of what the environment says (feature `from-env`).
    pub fn config(mut self, config: &SdkConfig) -> Self {
        self.config = Some(config.clone());
        self
    }

    /// The region of the keys whose name says none; the ARNs of keys and aliases say it. Default: that
    /// of the client or the configuration.
    pub fn region(mut self, region: impl Into<String>) -> Self {
        self.region = Some(region.into());
        self
    }

    /// The address of KMS, for emulators and private endpoints: it is used for every region, save by
    /// clients that were given for one key.
    pub fn endpoint_url(mut self, url: impl Into<String>) -> Self {
        self.endpoint = Some(url.into());
        self
    }

    /// Adds a key: id, ARN, alias, or ARN of an alias. It wraps new data keys and opens old ones. The
    /// order counts: the first makes new data keys, and is the first to be asked to open.
    pub fn key(self, key: impl Into<String>) -> Self {
        self.stated(key.into(), true, None)
    }

    /// Adds a key with a client of its own: for a key of another account, with its own credentials.
    pub fn key_with_client(self, key: impl Into<String>, client: Client) -> Self {
        self.stated(key.into(), true, Some(client))
    }

    /// Adds a key that opens what it wrapped, and wraps nothing new: a key that was replaced, or
    /// another replica of a multi-Region key.
    pub fn decrypt_only(self, key: impl Into<String>) -> Self {
        self.stated(key.into(), false, None)
    }

    /// The same with a client of its own.
    pub fn decrypt_only_with_client(self, key: impl Into<String>, client: Client) -> Self {
        self.stated(key.into(), false, Some(client))
    }

    fn stated(mut self, name: String, wraps: bool, client: Option<Client>) -> Self {
        self.keys.push(StatedKey { name, wraps, client });
        self
    }

    /// Adds a grant token, which every call then carries. A new grant needs it until KMS knows the
    /// grant everywhere, for about five minutes.
    pub fn grant_token(mut self, token: impl Into<String>) -> Self {
        self.grant_tokens.push(token.into());
        self
    }

    /// How many of the keys must have wrapped a new data key. Default: all of them, since a value
    /// that the second region can't open shows only when the first is lost.
    ///
    /// With fewer, new values can be written while KMS throttles or can't be reached in a region;
    /// such values have fewer copies until their data keys are wrapped again. A key that is denied,
    /// disabled or missing is an error all the same.
    pub fn required_copies(mut self, copies: usize) -> Self {
        self.required_copies = Some(copies);
        self
    }

    /// The keyring. Nothing is asked over the network yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no key that wraps or more than 8, if a name is none of a
    /// KMS key or stands there twice, if a client is for another region than its key, if no region is
    /// known, or if both a client and a configuration are given.
    pub fn build(self) -> Result<KmsKeyring> {
        let clients = Clients::new(source(self.client, self.config)?, self.region, self.endpoint);
        let mut keys = Vec::<KmsKey>::new();
        for StatedKey { name, wraps, client } in self.keys {
            let reference = KeyReference::parse(&name)?;
            if keys.iter().any(|key| *key.reference() == reference) && client.is_none() {
                return Err(configuration("the keyring names a KMS key twice", "name it once").key(name));
            }
            match &client {
                Some(client) => check_region(&reference, client).map_err(|error| error.key(&name))?,
                None => clients.check(reference.region()).map_err(|error| error.key(&name))?,
            }
            keys.push(KmsKey::new(reference, wraps, client));
        }
        let wrapping = keys.iter().filter(|key| key.wraps).count();
        if wrapping == 0 {
            return Err(configuration("a KMS keyring without a key", "add one with `.key(..)`"));
        }
        if wrapping > MAX_WRAPPING_KEYS {
            return Err(configuration(
                "a KMS keyring of more than 8 keys that wrap",
                "a data key has 8 copies at most; give old keys with `.decrypt_only(..)`",
            ));
        }
        let required_copies = self.required_copies.unwrap_or(wrapping);
        if required_copies == 0 || required_copies > wrapping {
            return Err(configuration(
                "a number of required copies that can't be",
                "it is at least 1, and at most the number of keys that wrap",
            ));
        }
        let grant_tokens = self.grant_tokens;
        Ok(KmsKeyring(Arc::new(Inner { keys, clients, grant_tokens, required_copies })))
    }
}

impl fmt::Debug for KmsKeyringBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // names are not checked yet, and grant tokens are not for logs
        write!(f, "KmsKeyringBuilder({} keys)", self.keys.len())
    }
}

fn source(client: Option<Client>, config: Option<SdkConfig>) -> Result<Source> {
    match (client, config) {
        (Some(client), None) => Ok(Source::Client(Box::new(client))),
        (None, Some(config)) => Ok(Source::Config(Box::new(config))),
        (Some(_), Some(_)) => Err(configuration(
            "a KMS keyring with both a client and a configuration",
            "give one of them; keys with clients of their own are given with `.key_with_client(..)`",
        )),
        #[cfg(feature = "from-env")]
        (None, None) => Ok(Source::Environment),
        #[cfg(not(feature = "from-env"))]
        (None, None) => Ok(Source::Nothing),
    }
}

/// A client speaks to one region, and KMS knows a key only in its own.
fn check_region(reference: &KeyReference, client: &Client) -> Result<()> {
    let of_client = client.config().region().map(Region::as_ref);
    match (reference.region(), of_client) {
        (_, None) => {
            Err(configuration("the client of a KMS key has no region", "set one where the client is made"))
        }
        (Some(named), Some(of_client)) if named != of_client => Err(configuration(
            "the client of a KMS key is for another region than the key",
            "make one for the region in the key's ARN",
        )),
        _ => Ok(()),
    }
}

fn configuration(message: &str, help: &str) -> Error {
    Error::new(ErrorKind::Configuration).message(message).help(help)
}

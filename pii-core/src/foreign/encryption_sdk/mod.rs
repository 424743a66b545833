//! Messages of the [AWS Encryption SDK](https://docs.aws.amazon.com/encryption-sdk/latest/developer-guide/),
//! format version 2, and the JSON values that Powertools for AWS Lambda keeps in them.
//!
//! A message carries its encryption context and its wrapped data keys. From a data key and the random id of
//! the message come the key of the message and a commitment to the data key; both the header and each frame
//! of the body are authenticated.

mod body;
mod builder;
mod context;
mod data_keys;
mod header;
mod open;
mod powertools;
mod seal;
mod signature;
mod suite;

use std::{fmt, sync::Arc, time::Duration};

pub use builder::EncryptionSdkBuilder;
pub use context::ContextMatch;
use data_keys::DataKeys;
pub use powertools::Powertools;

use super::key_service::KeyService;
use crate::cryptor::CacheLimits;

/// Reads and writes messages of the AWS Encryption SDK, format version 2.
///
/// | algorithm | | |
/// |---|---|---|
/// | `0x0578` | AES-256-GCM, HKDF-SHA512, key commitment, ECDSA P-384 | read |
/// | `0x0478` | the same without signature | read and written |
///
/// Everything else, such as messages without key commitment, is refused. A message is opened whole: no
/// plaintext is given away before commitment, header, signature and all frames were verified.
///
/// **Keys.** Only the KMS keys that the builder names are asked, and only for data keys that say to be
/// wrapped under them. Data keys are kept, both ways, within [`EncryptionSdk::CACHE_LIMITS`] or limits of
/// your own: a thousand messages under one data key are one call. Messages that are written under one
/// context share a data key within these limits; each has a key of its own, derived from it.
///
/// **Context.** The caller gives the encryption context of a message in both directions; one of another
/// context is refused before any key is asked for. See [`ContextMatch`].
///
/// **Messages are bound to nothing but key and context**: one that is copied to another row opens there,
/// unless the context says which row it belongs to.
///
/// ```
/// # use pii_core as pii;
/// use pii::{EncryptionSdk, KeyService, ServiceContext};
///
/// # async fn run(kms: impl KeyService) -> Result<(), pii::Error> {
/// let messages = EncryptionSdk::builder(kms)
///     .key("arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab")
///     .build()?;
/// let context = ServiceContext::from([("purpose".to_owned(), "export".to_owned())]);
/// let message = messages.encrypt(b"ada@example.com", &context).await?;
/// let opened = messages.decrypt(&message, &context).await?;
/// assert_eq!(opened.expose(), b"ada@example.com");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct EncryptionSdk {
    keys: Arc<DataKeys>,
    context_match: ContextMatch,
    max_message_bytes: usize,
    max_encrypted_data_keys: usize,
}

impl EncryptionSdk {
    /// The limits of the data-key cache if the builder is given none, which are those of Powertools: 100
    /// data keys each way, 300 seconds, 4,294,967,296 messages, and as many bytes as fit in 63 bits. No
    /// grace while the key service is away; refusals are remembered for a second.
    pub const CACHE_LIMITS: CacheLimits = CacheLimits {
        capacity: 100,
        max_age: Duration::from_secs(300),
        max_messages: 1 << 32,
        max_bytes: (1 << 63) - 1,
        grace: Duration::ZERO,
        negative_age: Duration::from_secs(1),
    };

    /// Begins with the key service of the keys to come.
    pub fn builder(service: impl KeyService) -> EncryptionSdkBuilder {
        Self::shared_builder(Arc::new(service))
    }

    /// As [`EncryptionSdk::builder`], with a key service that is used elsewhere too.
    pub fn shared_builder(service: Arc<dyn KeyService>) -> EncryptionSdkBuilder {
        EncryptionSdkBuilder::new(service)
    }

    /// Forgets all data keys: the next message of each asks the key service.
    pub fn evict(&self) {
        self.keys.evict();
    }
}

impl fmt::Debug for EncryptionSdk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EncryptionSdk")
            .field("keys", &self.keys)
            .field("context_match", &self.context_match)
            .finish_non_exhaustive()
    }
}

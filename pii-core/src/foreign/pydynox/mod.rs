//! Values of [pydynox](https://pypi.org/project/pydynox/): text fields that it encrypts for
//! DynamoDB under keys of AWS KMS.
//!
//! Since its release 0.14 a value is `ENC:` and the base64 of an envelope:
//!
//! ```text
//! 01 | u16be n | wrapped data key [n] | nonce [12] | AES-256-GCM ciphertext | tag [16]
//! ```
//!
//! with a data key of its own for each value, and nothing in the associated data. Before, it was `ENC:`
//! and the base64 of what `kms:Encrypt` made of the value itself.

mod form;
mod legacy;
mod open;
mod seal;

use std::{fmt, sync::Arc};

use super::{key_service::KeyService, named_keys::NamedKeys};

/// Which of the two forms stored values have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PydynoxFormat {
    /// The envelope, which pydynox writes since 0.14. New values are written so too.
    #[default]
    Envelope,
    /// What `kms:Encrypt` gave for the value itself: before 0.14. Read only.
    Direct,
    /// Both are read, and new values are written as envelopes.
    ///
    /// A text that has the structure of an envelope is opened as one. The blobs of KMS begin `01 01`
    /// or `01 02`, so a direct value of more than about 250 bytes may have that structure too: where
    /// the key service does not know the data key of such an envelope, the text is opened as a direct
    /// value, for one call more. KMS authenticates both blobs: what opens was encrypted under the key
    /// and the context.
    Either,
}

/// Reads and writes the values of pydynox, as one of its `EncryptedAttribute`s does: with a key of AWS
/// KMS and an encryption context that is the same for all rows.
///
/// Each value has a data key of its own, so each distinct value that is opened, and each one that is
/// written, is a call to the key service. A batch makes several calls at once.
///
/// **These values are bound to nothing but key and context**: one that is copied to another row or
/// field opens there. For a field that says `#[pii(legacy = "pydynox")]`, register it with
/// [`Cryptor::with_legacy`](crate::Cryptor::with_legacy), and move the field to this library's format.
///
/// ```
/// # use pii_core as pii;
/// use pii::{KeyService, Pydynox};
///
/// # async fn read(kms: impl KeyService, stored: &str) -> Result<(), pii::Error> {
/// let ssn = Pydynox::new(kms, "alias/pii-main").context([("tenant", "acme-corp"), ("purpose", "pii")]);
/// let opened = ssn.decrypt(stored).await?;
/// let stored_anew = ssn.encrypt(opened.expose()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Pydynox {
    keys: NamedKeys,
    format: PydynoxFormat,
}

impl Pydynox {
    /// Values under this key, named as pydynox names it: by id, ARN or alias.
    #[must_use]
    pub fn new(service: impl KeyService, key_id: impl Into<String>) -> Self {
        Self::shared(Arc::new(service), key_id)
    }

    /// As [`Pydynox::new`], with a key service that is used elsewhere too.
    #[must_use]
    pub fn shared(service: Arc<dyn KeyService>, key_id: impl Into<String>) -> Self {
        let help = "give `Pydynox` the `key_id` and the `context` of the attribute that wrote the value";
        Self { keys: NamedKeys::new(service, key_id.into(), help), format: PydynoxFormat::Envelope }
    }

    /// Adds pairs to the encryption context: together those of the attribute's `context`. Without any,
    /// the context is empty, as in pydynox. Key services log them in clear.
    #[must_use]
    pub fn context<N: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.keys.add_context(pairs);
        self
    }

    /// Which of the two forms stored values have; [`PydynoxFormat::Envelope`] by default.
    #[must_use]
    pub fn format(mut self, format: PydynoxFormat) -> Self {
        self.format = format;
        self
    }

    /// A key that older values are under. It is asked where the first key, or the one added before,
    /// did not make the blob. New values are never under it.
    #[must_use]
    pub fn decrypt_only(mut self, key_id: impl Into<String>) -> Self {
        self.keys.decrypt_only.push(key_id.into());
        self
    }

    /// How many calls to the key service one batch may have under way at once; 16 by default, at
    /// least 1.
    #[must_use]
    pub fn concurrent_calls(mut self, calls: usize) -> Self {
        self.keys.concurrent_calls = calls.max(1);
        self
    }
}

impl fmt::Debug for Pydynox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pydynox")
            .field("key_id", &self.keys.key_id)
            .field("context", &self.keys.context.keys())
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

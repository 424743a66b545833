//! What the formats of other systems ask of a key service.
//!
//! A [`Keyring`](crate::Keyring) of ours wraps data keys and binds each to a context, a purpose and an
//! epoch. The other systems call AWS KMS with a context of their own, and one of them lets it encrypt
//! the values themselves: that is what this joint is for.

use std::{collections::BTreeMap, fmt};

use futures_core::future::BoxFuture;

use crate::{
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
};

/// The encryption context of a call, as the other system passes it. It may have pairs that an
/// [`EncryptionContext`](crate::EncryptionContext) of ours refuses.
pub type ServiceContext = BTreeMap<String, String>;

/// Encrypts and decrypts under keys that never leave it: AWS KMS.
pub trait KeyService: Send + Sync + 'static {
    /// Makes a data key of 32 bytes, wrapped under this key-encryption key.
    ///
    /// # Errors
    /// Key errors.
    fn generate_data_key<'a>(
        &'a self,
        key_id: &'a str,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceDataKey>>;

    /// Decrypts what the service encrypted: a wrapped data key, or a short value. Where the
    /// key-encryption key is named, no other one may open it.
    ///
    /// # Errors
    /// Key errors, [`ErrorKind::KeyMissing`](crate::ErrorKind::KeyMissing) where another key made the blob;
    /// [`ErrorKind::ContextMismatch`](crate::ErrorKind::ContextMismatch) or
    /// [`ErrorKind::Integrity`](crate::ErrorKind::Integrity) where blob, key and context do not belong
    /// together.
    fn decrypt<'a>(
        &'a self,
        key_id: Option<&'a str>,
        blob: &'a [u8],
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<SecretBytes>>;

    /// Encrypts under this key-encryption key what exists already: a data key that another one has
    /// wrapped too. Values that several keys can open need it. Refuses by default.
    ///
    /// # Errors
    /// Key errors, and [`ErrorKind::Configuration`] if this service can't.
    fn encrypt<'a>(
        &'a self,
        key_id: &'a str,
        plaintext: &'a SecretBytes,
        context: &'a ServiceContext,
    ) -> BoxFuture<'a, Result<ServiceBlob>> {
        let _ = (plaintext, context);
        let error = Error::new(ErrorKind::Configuration)
            .key(key_id)
            .message("this key service does not encrypt data keys that exist already")
            .help("implement `KeyService::encrypt` for it, or write under one key only");
        Box::pin(std::future::ready(Err(error)))
    }
}

/// What a [`KeyService`] encrypted.
#[derive(Debug, Clone)]
pub struct ServiceBlob {
    /// The ciphertext.
    pub blob: Vec<u8>,
    /// The full name, an ARN, of the key-encryption key that it is under.
    pub key_arn: String,
}

/// A data key that a [`KeyService`] made.
#[derive(Clone)]
pub struct ServiceDataKey {
    /// The key.
    pub plaintext: SecretBytes,
    /// The wrapped key.
    pub blob: Vec<u8>,
    /// The full name, an ARN, of the key-encryption key that it is wrapped under.
    pub key_arn: String,
}

impl fmt::Debug for ServiceDataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceDataKey").field("key_arn", &self.key_arn).finish_non_exhaustive()
    }
}

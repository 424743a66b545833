//! Keyrings: what wraps data keys.

mod cache;
mod hierarchical;
mod key_encryption_key;
mod key_file;
mod local;
#[cfg(feature = "public-keyring")]
mod public_key;
mod test;

use std::{fmt, sync::Arc};

use futures_core::future::BoxFuture;

pub use hierarchical::HierarchicalKeyring;
pub(crate) use key_encryption_key::KeyEncryptionKey;
pub use local::LocalKeyring;
#[cfg(test)]
pub(crate) use local::unwrap_with;
#[cfg(feature = "public-keyring")]
pub use public_key::{
    PrivateKey, PrivateKeySource, PublicKey, PublicKeyring, SenderPolicy, WrappedPrivateKey,
};
pub use test::TestKeyring;

use crate::{
    context::EncryptionContext,
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    wire::{Provider, Purpose, WrappedKey},
};

/// What every wrap of a data key binds. A blob wrapped for one binding must not unwrap for another.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyBinding {
    /// The encryption context of the values. When unwrapping, it is the expected one, never one
    /// that was read from a record.
    pub context: Arc<EncryptionContext>,
    /// What the data key is for.
    pub purpose: Purpose,
    /// The generation of the data key within its context and purpose.
    pub epoch: u32,
}

impl fmt::Debug for KeyBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyBinding({:?}, {}, epoch {})", self.context, self.purpose.name(), self.epoch)
    }
}

/// A new data key with its wrapped copies.
#[derive(Debug, Clone)]
pub struct GeneratedKey {
    /// The key itself.
    pub data_key: DataKey,
    /// The copies to store, 1 to 8.
    pub copies: Vec<WrappedKey>,
}

/// Key-encryption keys that wrap data keys: a key service, a local file, or your own.
///
/// An implementation must bind the whole [`KeyBinding`] to each copy, and must refuse copies of
/// [`Provider::TEST`] unless it is the test keyring.
pub trait Keyring: Send + Sync + 'static {
    /// Makes a data key and wraps it under every key-encryption key of this keyring.
    ///
    /// # Errors
    /// Key errors, such as [`ErrorKind::KeyDenied`] or [`ErrorKind::KeyUnavailable`].
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>>;

    /// Opens the first of the copies that it can. The caller checks that the key is the one that
    /// was asked for: [`Keyring::unwrap`] should go on with the next copy if `is_wanted` says no.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if no copy is for this keyring, [`ErrorKind::ContextMismatch`] if
    /// a copy does not open under this binding, and key errors.
    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>>;

    /// Wraps a data key that exists already, under every key-encryption key of this keyring: what
    /// [`Keyring::generate`] does with a new one. Moving data keys to other key-encryption keys
    /// needs it; sealing and opening values do not. Refuses by default.
    ///
    /// # Errors
    /// Key errors, and [`ErrorKind::Configuration`] if this keyring can't.
    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        let _ = (data_key, binding);
        let error = Error::new(ErrorKind::Configuration)
            .message("this keyring does not wrap data keys that exist already")
            .help("implement `Keyring::wrap` for it, or make a new data key instead");
        Box::pin(std::future::ready(Err(error)))
    }

    /// Copies under the key-encryption keys of this keyring, made of copies of the same data key
    /// that it can open. By default it unwraps and wraps; a key service that does both in one step
    /// need not show the data key to this process.
    ///
    /// # Errors
    /// Those of [`Keyring::unwrap`] and [`Keyring::wrap`].
    fn rewrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(async move {
            let data_key = self.unwrap(copies, binding, is_wanted).await?;
            self.wrap(&data_key, binding).await
        })
    }

    /// Whether this keyring can unwrap at all. One that holds only a public key can't: its values
    /// are sealed under data keys that each process makes for itself.
    fn can_unwrap(&self) -> bool {
        true
    }
}

/// Refuses copies that a test keyring made: what [`Keyring::unwrap`] of every other keyring does first.
///
/// # Errors
/// [`ErrorKind::KeyMissing`] if there is one of [`Provider::TEST`] among them.
pub fn refuse_test_copies(copies: &[WrappedKey]) -> Result<()> {
    if copies.iter().any(|copy| copy.provider == Provider::TEST) {
        return Err(Error::new(ErrorKind::KeyMissing)
            .message("the value was sealed with a test keyring, whose key everybody knows")
            .help("such values have no place outside tests: seal the data anew with a real keyring"));
    }
    Ok(())
}

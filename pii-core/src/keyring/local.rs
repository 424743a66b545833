//! Data keys wrapped by key-encryption keys from a local file.

use std::{fmt, path::Path};

use futures_core::future::BoxFuture;

use super::{
    GeneratedKey, KeyBinding, Keyring, key_encryption_key::KeyEncryptionKey, key_file, refuse_test_copies,
};
use crate::{
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Provider, WrappedKey},
};

/// A keyring whose key-encryption keys are in a file that only its owner may read.
///
/// The file holds one or several keys, one of which is primary: it wraps new data keys, the others
/// only unwrap. The cipher is the same as for values. Whoever can read the file can open every
/// value: keep it apart from the database and its backups.
///
/// ```no_run
/// # use pii_core as pii;
/// use pii::{Cryptor, LocalKeyring};
///
/// let keyring = LocalKeyring::open("pii.key")?;
/// let cryptor = Cryptor::envelope().keyring(keyring).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
pub struct LocalKeyring {
    keys: Vec<KeyEncryptionKey>,
    primary: usize,
}

impl LocalKeyring {
    /// Reads a key file.
    ///
    /// # Errors
    /// [`ErrorKind::KeyMissing`] if there is no such file, [`ErrorKind::KeyUnavailable`] if it
    /// can't be read, [`ErrorKind::Configuration`] if others may read it, if it is damaged, or if
    /// it is no regular file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        key_file::read(path.as_ref()).map(|(keys, primary)| Self { keys, primary })
    }

    /// Makes a key file with one new key, readable by its owner only. An existing file is left
    /// alone.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the file exists, or its folder does not;
    /// [`ErrorKind::KeyUnavailable`] if it can't be written.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let key = KeyEncryptionKey::generate()?;
        key_file::create(path.as_ref(), std::slice::from_ref(&key), 0)?;
        // what counts is what the next process will read
        let created = Self::open(path)?;
        if created.keys.iter().any(|stored| stored.id() == key.id()) {
            return Ok(created);
        }
        Err(Error::new(ErrorKind::KeyUnavailable).message("the key file was replaced while it was made"))
    }

    /// Reads the key file, or makes it if there is none: for development and examples. In
    /// production a missing file should be an error: use [`LocalKeyring::open`].
    ///
    /// # Errors
    /// Those of [`LocalKeyring::open`] and [`LocalKeyring::create`].
    pub fn open_or_create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match Self::open(path) {
            Err(error) if error.kind() == ErrorKind::KeyMissing => match Self::create(path) {
                // another process was faster
                Err(error) if path.exists() => Self::open(path).map_err(|_| error),
                created => created,
            },
            opened => opened,
        }
    }

    /// Adds a new key to a key file and makes it primary, in one step and durably: new data keys
    /// are wrapped under it, and the earlier keys still unwrap theirs. Comments stay. Gives the
    /// keyring of the file as it is now; cryptors that run go on with theirs.
    ///
    /// Whoever opens values needs the new file before anybody seals with it. Data keys that exist
    /// come under the new key by [`KeyAdmin::rewrap`](crate::KeyAdmin::rewrap). When that is done
    /// everywhere, and no value has inline copies under an old key, the line of the old key can be
    /// deleted from the file.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("pii.key");
    /// let old = pii::LocalKeyring::create(&path)?;
    /// let new = pii::LocalKeyring::rotate(&path)?;
    /// assert_eq!(new.key_ids().get(1), old.key_ids().first());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`LocalKeyring::open`], and [`ErrorKind::KeyUnavailable`] if the file can't be
    /// written; then it is as it was.
    pub fn rotate(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let key = KeyEncryptionKey::generate()?;
        key_file::add_primary(path, &key)?;
        // what counts is what the next process will read
        let rotated = Self::open(path)?;
        if rotated.keys.iter().any(|stored| stored.id() == key.id()) {
            return Ok(rotated);
        }
        Err(Error::new(ErrorKind::KeyUnavailable).message("the key file was replaced while it was changed"))
    }

    fn primary(&self) -> Result<&KeyEncryptionKey> {
        let primary = self.keys.get(self.primary);
        primary.ok_or_else(|| Error::new(ErrorKind::KeyMissing).message("the keyring is empty"))
    }

    /// The ids of the keys, the primary first.
    #[must_use]
    pub fn key_ids(&self) -> Vec<KeyId> {
        let mut ids: Vec<KeyId> = self.keys.iter().map(KeyEncryptionKey::id).collect();
        let primary = self.primary.min(ids.len().saturating_sub(1));
        if let Some(front) = ids.get_mut(..=primary) {
            front.rotate_right(1);
        }
        ids
    }
}

impl fmt::Debug for LocalKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalKeyring({:?})", self.key_ids())
    }
}

impl Keyring for LocalKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        let generated = self.primary().and_then(|key| generate_under(key, Provider::LOCAL, binding));
        Box::pin(std::future::ready(generated))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        let unwrapped = refuse_test_copies(copies)
            .and_then(|()| unwrap_with(&self.keys, Provider::LOCAL, copies, binding, is_wanted));
        Box::pin(std::future::ready(unwrapped))
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        let wrapped = self
            .primary()
            .and_then(|key| wrap_under(key, Provider::LOCAL, data_key, binding))
            .map(|copy| vec![copy]);
        Box::pin(std::future::ready(wrapped))
    }
}

pub(super) fn generate_under(
    key: &KeyEncryptionKey,
    provider: Provider,
    binding: &KeyBinding,
) -> Result<GeneratedKey> {
    let data_key = DataKey::generate()?;
    let copies = vec![wrap_under(key, provider, &data_key, binding)?];
    Ok(GeneratedKey { data_key, copies })
}

pub(super) fn wrap_under(
    key: &KeyEncryptionKey,
    provider: Provider,
    data_key: &DataKey,
    binding: &KeyBinding,
) -> Result<WrappedKey> {
    let blob = key.wrap(data_key, binding)?;
    Ok(WrappedKey { provider, key_name: key.id().to_string(), blob })
}

pub(crate) fn unwrap_with(
    keys: &[KeyEncryptionKey],
    provider: Provider,
    copies: &[WrappedKey],
    binding: &KeyBinding,
    is_wanted: &dyn Fn(&DataKey) -> bool,
) -> Result<DataKey> {
    let mut tried = false;
    for copy in copies.iter().filter(|copy| copy.provider == provider) {
        let named = |key: &&KeyEncryptionKey| KeyId::parse(&copy.key_name) == Some(key.id());
        let Some(key) = keys.iter().find(named) else { continue };
        tried = true;
        if let Some(data_key) = key.unwrap(&copy.blob, binding).filter(is_wanted) {
            return Ok(data_key);
        }
    }
    if tried {
        return Err(Error::new(ErrorKind::ContextMismatch).message(format!(
            "the wrapped data key does not open under the expected context ({}), or was altered",
            binding.context.names()
        )));
    }
    // key names come from storage: only what is an id is repeated
    let names = copies.iter().filter_map(|copy| KeyId::parse(&copy.key_name)).map(|id| id.to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    let error = Error::new(ErrorKind::KeyMissing)
        .message("the key-encryption key is not in the key file")
        .help("use the key file with which the value was written, or add that key to this one");
    Err(if names.is_empty() { error } else { error.key(names) })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{context::EncryptionContext, wire::Purpose};

    #[tokio::test]
    async fn a_copy_that_names_no_key_id_is_missing_without_one() {
        let key = KeyEncryptionKey::generate().unwrap();
        let keyring = LocalKeyring { keys: vec![key], primary: 0 };
        let context = Arc::new(EncryptionContext::empty());
        let binding = KeyBinding { context, purpose: Purpose::Seal, epoch: 0 };
        let copy = |key_name: String| WrappedKey { provider: Provider::LOCAL, key_name, blob: vec![0; 72] };
        let unwrap = async |copy| keyring.unwrap(&[copy], &binding, &|_| true).await.unwrap_err();
        let nameless = unwrap(copy("arn:aws:kms:eu-central-1:1:key/1".to_owned())).await;
        assert_eq!((nameless.kind(), nameless.key_id()), (ErrorKind::KeyMissing, None));
        let id = KeyId::from_bytes([7; 16]).to_string();
        let named = unwrap(copy(id.clone())).await;
        assert_eq!((named.kind(), named.key_id()), (ErrorKind::KeyMissing, Some(id.as_str())));
    }
}

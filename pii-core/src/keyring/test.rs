//! A keyring for tests, which no other keyring takes for real.

use std::sync::Once;

use futures_core::future::BoxFuture;

use super::{
    GeneratedKey, KeyBinding, Keyring,
    key_encryption_key::KeyEncryptionKey,
    local::{generate_under, unwrap_with, wrap_under},
};
use crate::{
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    wire::{Provider, WrappedKey},
};

/// Everybody knows it: it stands in FORMAT.md.
const KNOWN_KEY: &[u8; 32] = b"pii test key - never real data!!";

/// A keyring without files or services, for tests: real cryptography under a key that everybody
/// knows. What it wraps is marked; every other keyring refuses it. The first one of a process logs
/// a warning.
#[derive(Debug)]
pub struct TestKeyring {
    key: KeyEncryptionKey,
}

impl TestKeyring {
    /// The test keyring; all of them have the same key.
    #[must_use]
    pub fn new() -> Self {
        static WARNING: Once = Once::new();
        WARNING.call_once(|| {
            tracing::warn!("TEST KEYRING IN USE: values are sealed under a key that everybody knows");
        });
        Self { key: KeyEncryptionKey::from_key(DataKey::take(&mut KNOWN_KEY.to_owned())) }
    }
}

impl Default for TestKeyring {
    fn default() -> Self {
        Self::new()
    }
}

impl Keyring for TestKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(std::future::ready(generate_under(&self.key, Provider::TEST, binding)))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        let keys = std::slice::from_ref(&self.key);
        let unwrapped = unwrap_with(keys, Provider::TEST, copies, binding, is_wanted).map_err(|error| {
            match error.kind() {
                ErrorKind::KeyMissing if copies.iter().any(|copy| copy.provider == Provider::TEST) => {
                    Error::new(ErrorKind::KeyMissing)
                        .message("the value was sealed under a branch key of a test keyring, and this is the test keyring itself")
                        .help("open it with the `HierarchicalKeyring` over the test keyring that sealed it")
                }
                ErrorKind::KeyMissing => Error::new(ErrorKind::KeyMissing)
                    .message("the value was sealed with a real keyring, and this is the test keyring"),
                _ => error,
            }
        });
        Box::pin(std::future::ready(unwrapped))
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        let wrapped = wrap_under(&self.key, Provider::TEST, data_key, binding).map(|copy| vec![copy]);
        Box::pin(std::future::ready(wrapped))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{context::EncryptionContext, wire::Purpose};

    #[tokio::test]
    async fn copies_of_others_are_told_from_those_under_a_branch_key() {
        let context = Arc::new(EncryptionContext::empty());
        let binding = KeyBinding { context, purpose: Purpose::Seal, epoch: 0 };
        let unwrap = async |provider| {
            let copy = WrappedKey { provider, key_name: "0".repeat(32), blob: vec![0; 72] };
            TestKeyring::new().unwrap(&[copy], &binding, &|_| true).await.unwrap_err()
        };
        let (under_branch, real) = (unwrap(Provider::TEST).await, unwrap(Provider::LOCAL).await);
        assert_eq!([under_branch.kind(), real.kind()], [ErrorKind::KeyMissing; 2]);
        assert!(under_branch.to_string().contains("branch key"), "{under_branch}");
        assert!(real.to_string().contains("a real keyring"), "{real}");
    }
}

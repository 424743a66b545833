//! Making data keys, and wrapping them under every key of the keyring.

use futures_util::future::join_all;
use pii_core::{DataKey, Error, ErrorKind, GeneratedKey, KeyBinding, Provider, Result, WrappedKey};

use super::{Inner, calls, key::KmsKey};
use crate::error::most_telling;

impl Inner {
    pub(super) async fn generate(&self, binding: &KeyBinding) -> Result<GeneratedKey> {
        let mut failures = Vec::new();
        let mut wrapping = self.wrapping_keys();
        while let Some(key) = wrapping.next() {
            match self.generate_under(key, binding).await {
                Ok((data_key, copy)) => {
                    let others = wrapping.map(|key| self.wrap_under(key, &data_key, binding));
                    let wrapped = join_all(others).await;
                    let failed = failures.into_iter().map(Err);
                    let copies = self.enough(failed.chain([Ok(copy)]).chain(wrapped))?;
                    return Ok(GeneratedKey { data_key, copies });
                }
                // the next key would make a data key in vain
                Err(error) if !self.can_spare(&error, failures.len()) => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        Err(most_telling(failures).unwrap_or_else(no_keys))
    }

    pub(super) async fn wrap(&self, data_key: &DataKey, binding: &KeyBinding) -> Result<Vec<WrappedKey>> {
        let wrapped = self.wrapping_keys().map(|key| self.wrap_under(key, data_key, binding));
        self.enough(join_all(wrapped).await)
    }

    /// The copies, if there are as many as configured, and those that lack are an outage.
    pub(super) fn enough(
        &self,
        wrapped: impl IntoIterator<Item = Result<WrappedKey>>,
    ) -> Result<Vec<WrappedKey>> {
        let (mut copies, mut failures) = (Vec::<WrappedKey>::new(), Vec::new());
        for result in wrapped {
            match result {
                Ok(copy) => {
                    if copies.iter().any(|other| other.key_name == copy.key_name) {
                        return Err(Error::new(ErrorKind::Configuration)
                            .key(copy.key_name)
                            .message("two names in the keyring stand for the same KMS key")
                            .help("name each key once: a second copy under the same key protects against nothing"));
                    }
                    copies.push(copy);
                }
                Err(error) => failures.push(error),
            }
        }
        let mut spared = 0;
        if failures.iter().all(|error| {
            let can_spare = self.can_spare(error, spared);
            spared += 1;
            can_spare
        }) {
            for error in &failures {
                tracing::warn!(
                    key = error.key_id(),
                    kind = ?error.kind(),
                    "a KMS key did not wrap a data key; the copies under the other keys are enough"
                );
            }
            return Ok(copies);
        }
        Err(most_telling(failures).unwrap_or_else(no_keys))
    }

    /// Whether a key may fail like this when so many have failed already.
    fn can_spare(&self, error: &Error, failed: usize) -> bool {
        error.is_retryable() && self.wrapping_keys().count().saturating_sub(failed) > self.required_copies
    }

    async fn generate_under(&self, key: &KmsKey, binding: &KeyBinding) -> Result<(DataKey, WrappedKey)> {
        let client = self.ready(key).await?;
        let made = calls::generate_data_key(client, key.name(), binding, &self.grant_tokens).await?;
        let arn = key.pin("kms:GenerateDataKey", &made.key)?;
        Ok((made.data_key, copy(arn.as_str(), made.blob)))
    }

    pub(super) async fn wrap_under(
        &self,
        key: &KmsKey,
        data_key: &DataKey,
        binding: &KeyBinding,
    ) -> Result<WrappedKey> {
        let client = self.ready(key).await?;
        let (blob, used) = calls::encrypt(client, key.name(), data_key, binding, &self.grant_tokens).await?;
        let arn = key.pin("kms:Encrypt", &used)?;
        Ok(copy(arn.as_str(), blob))
    }
}

pub(super) fn copy(arn: &str, blob: Vec<u8>) -> WrappedKey {
    WrappedKey { provider: Provider::AWS_KMS, key_name: arn.to_owned(), blob }
}

/// The builder refuses a keyring without keys.
fn no_keys() -> Error {
    Error::new(ErrorKind::Configuration).message("the keyring has no key that wraps")
}

//! Opening copies, in the order of the keyring's keys, and moving copies to other keys.

use futures_util::future::join_all;
use pii_core::{DataKey, Error, ErrorKind, KeyBinding, Provider, Result, WrappedKey};

use super::{Inner, calls, key::KmsKey, wrap::copy};
use crate::{error::most_telling, key_reference::KeyArn};

/// A copy that a KMS key made, by what it says of itself.
struct Candidate<'a> {
    name: KeyArn,
    blob: &'a [u8],
}

impl Inner {
    pub(super) async fn unwrap(
        &self,
        copies: &[WrappedKey],
        binding: &KeyBinding,
        is_wanted: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<DataKey> {
        let candidates = candidates(copies)?;
        let mut failures = Vec::new();
        for key in self.keys.iter().filter(|key| candidates.iter().any(|copy| key.may_open(&copy.name))) {
            let client = match self.ready(key).await {
                Ok(client) => client,
                Err(error) => {
                    note(&error);
                    failures.push(error);
                    continue;
                }
            };
            for copy in &candidates {
                if !key.may_open(&copy.name) {
                    continue;
                }
                let opened = if calls::is_possible_blob(copy.blob) {
                    calls::decrypt(client, key.name(), copy.blob, binding, &self.grant_tokens).await
                } else {
                    Err(altered(key, binding))
                };
                let opened = opened.and_then(|(data_key, used)| {
                    let used = key.pin("kms:Decrypt", &used)?;
                    let is_right = used.opens_copies_of(&copy.name) && is_wanted(&data_key);
                    if is_right { Ok(data_key) } else { Err(altered(key, binding)) }
                });
                match opened {
                    Ok(data_key) => return Ok(data_key),
                    Err(error) => {
                        note(&error);
                        failures.push(error);
                    }
                }
            }
        }
        Err(most_telling(failures).unwrap_or_else(|| foreign(&candidates)))
    }

    /// By kms:ReEncrypt where a copy is in the region of the key that it goes to: KMS can't move one
    /// from region to region. Where none is, the data key passes through this process.
    pub(super) async fn rewrap(
        &self,
        copies: &[WrappedKey],
        binding: &KeyBinding,
        is_wanted: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<Vec<WrappedKey>> {
        let candidates = candidates(copies)?;
        let moved =
            self.wrapping_keys().map(|destination| self.re_encrypt(destination, &candidates, binding));
        let moved = join_all(moved).await;
        let data_key = if moved.iter().any(Option::is_none) {
            Some(self.unwrap(copies, binding, is_wanted).await?)
        } else {
            None
        };
        let mut wrapped = Vec::new();
        for (key, moved) in self.wrapping_keys().zip(moved) {
            wrapped.push(match (moved, &data_key) {
                (Some(moved), _) => moved,
                (None, Some(data_key)) => self.wrap_under(key, data_key, binding).await,
                (None, None) => Err(foreign(&candidates)),
            });
        }
        self.enough(wrapped)
    }

    /// A copy for `destination`, or `None` if no copy is in its region.
    async fn re_encrypt(
        &self,
        destination: &KmsKey,
        candidates: &[Candidate<'_>],
        binding: &KeyBinding,
    ) -> Option<Result<WrappedKey>> {
        let client = match self.ready(destination).await {
            Ok(client) => client,
            Err(error) => return Some(Err(error)),
        };
        let mut failures = Vec::new();
        for source in &self.keys {
            let ready = match source.client(&self.clients).await {
                Ok(other) if other.config().region() != client.config().region() => continue,
                Ok(other) => source.resolve(other, &self.grant_tokens).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ready {
                note(&error);
                failures.push(error);
                continue;
            }
            for candidate in candidates.iter().filter(|copy| source.may_open(&copy.name)) {
                let moved = if calls::is_possible_blob(candidate.blob) {
                    let (from, to) = (source.name(), destination.name());
                    calls::re_encrypt(client, from, candidate.blob, to, binding, &self.grant_tokens).await
                } else {
                    Err(altered(source, binding))
                };
                let moved = moved.and_then(|moved| {
                    let used = source.pin("kms:ReEncrypt", &moved.source)?;
                    if !used.opens_copies_of(&candidate.name) {
                        return Err(altered(source, binding));
                    }
                    let arn = destination.pin("kms:ReEncrypt", &moved.destination)?;
                    Ok(copy(arn.as_str(), moved.blob))
                });
                match moved {
                    Ok(moved) => return Some(Ok(moved)),
                    Err(error) => {
                        note(&error);
                        failures.push(error);
                    }
                }
            }
        }
        most_telling(failures).map(Err)
    }
}

/// The copies that KMS keys made.
fn candidates(copies: &[WrappedKey]) -> Result<Vec<Candidate<'_>>> {
    pii_core::refuse_test_copies(copies)?;
    let of_kms = copies.iter().filter(|copy| copy.provider == Provider::AWS_KMS);
    Ok(of_kms
        .filter_map(|copy| Some(Candidate { name: KeyArn::parse(&copy.key_name)?, blob: &copy.blob }))
        .collect())
}

/// The copies are of keys that are not of this keyring. Their names come from storage: only what is
/// an ARN is repeated.
fn foreign(candidates: &[Candidate<'_>]) -> Error {
    let names: Vec<&str> = candidates.iter().map(|copy| copy.name.as_str()).collect();
    let error = Error::new(ErrorKind::KeyMissing);
    if names.is_empty() {
        return error
            .message("the data key was not wrapped by an AWS KMS key")
            .help("use the keyring with which the value was written");
    }
    error
        .key(names.join(", "))
        .message("the data key was wrapped by a KMS key that is not of this keyring")
        .help("if it is yours, add its ARN to the keyring, with `decrypt_only(..)` if it is an old one")
}

fn altered(key: &KmsKey, binding: &KeyBinding) -> Error {
    Error::new(ErrorKind::ContextMismatch).key(key.name()).message(format!(
        "the wrapped data key does not open under the expected context ({}), or was altered",
        binding.context.names()
    ))
}

/// Another copy may open the value; why this one did not is told all the same.
fn note(error: &Error) {
    tracing::warn!(key = error.key_id(), kind = ?error.kind(), "a KMS key did not open a data key");
}

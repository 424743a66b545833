//! Keys of a key service for formats that do not say which key a wrapped data key is under.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use super::key_service::{KeyService, ServiceContext, ServiceDataKey};
use crate::{
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
};

/// Calls to the key service under way at once, for one batch.
const CONCURRENT_CALLS: usize = 16;

/// The key of new values and those of older ones, with the context of all of them.
#[derive(Clone)]
pub(super) struct NamedKeys {
    service: Arc<dyn KeyService>,
    pub(super) key_id: String,
    pub(super) decrypt_only: Vec<String>,
    pub(super) context: ServiceContext,
    pub(super) concurrent_calls: usize,
    /// What to do when nothing opens.
    help: &'static str,
}

impl NamedKeys {
    pub(super) fn new(service: Arc<dyn KeyService>, key_id: String, help: &'static str) -> Self {
        Self {
            service,
            key_id,
            decrypt_only: Vec::new(),
            context: ServiceContext::new(),
            concurrent_calls: CONCURRENT_CALLS,
            help,
        }
    }

    pub(super) fn add_context<N: Into<String>, V: Into<String>>(
        &mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) {
        self.context.extend(pairs.into_iter().map(|(name, value)| (name.into(), value.into())));
    }

    /// A new data key under the first key.
    pub(super) async fn generate(&self) -> Result<ServiceDataKey> {
        let made = self.service.generate_data_key(&self.key_id, &self.context).await;
        made.map_err(|error| error.key(&self.key_id))
    }

    /// Asks for one blob, under one key after the other.
    pub(super) async fn decrypt(&self, blob: &[u8]) -> Result<SecretBytes> {
        let mut refusal = None::<Error>;
        for key_id in std::iter::once(&self.key_id).chain(&self.decrypt_only) {
            match self.service.decrypt(Some(key_id), blob, &self.context).await {
                Ok(plaintext) => return Ok(plaintext),
                // that another key made the blob says less than that this key made another one
                Err(error) if error.kind() == ErrorKind::KeyMissing => {
                    refusal.get_or_insert(error.key(key_id));
                }
                Err(error) if concerns_the_blob(&error) => refusal = Some(self.mismatch(error)),
                Err(error) => return Err(error.key(key_id)),
            }
        }
        Err(refusal.unwrap_or_else(|| Error::new(ErrorKind::KeyMissing)))
    }

    fn mismatch(&self, refusal: Error) -> Error {
        let names: Vec<&str> = self.context.keys().map(String::as_str).collect();
        let context = match names.as_slice() {
            [] => "the empty context".to_owned(),
            names => format!("the expected context (`{}`)", names.join("`, `")),
        };
        Error::new(ErrorKind::ContextMismatch)
            .key(&self.key_id)
            .message(format!("the value does not open under this key and {context}, or was altered"))
            .help(self.help)
            .source(refusal)
    }
}

/// Whether another blob, or another key, may fare better.
pub(super) fn concerns_the_blob(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Integrity | ErrorKind::ContextMismatch | ErrorKind::KeyMissing)
}

/// The answers of the key service to the blobs of one batch. Equal blobs are one call; after an error
/// that all calls would have, such as an outage, no further one is made.
pub(super) struct Answers<'a> {
    keys: &'a NamedKeys,
    answers: HashMap<&'a [u8], Result<SecretBytes>>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(keys: &'a NamedKeys) -> Self {
        Self { keys, answers: HashMap::new() }
    }

    /// Asks for those blobs that were not asked for yet.
    pub(super) async fn ask(&mut self, blobs: impl IntoIterator<Item = &'a [u8]>) {
        let mut missing: Vec<&[u8]> =
            blobs.into_iter().filter(|blob| !self.answers.contains_key(blob)).collect();
        missing.sort_unstable();
        missing.dedup();
        let keys = self.keys;
        let outage = Mutex::new(None::<Error>);
        let known = || outage.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let calls: Vec<BoxFuture<'_, _>> = missing
            .into_iter()
            .map(|blob| -> BoxFuture<'_, _> {
                let (known, outage) = (&known, &outage);
                Box::pin(async move {
                    if let Some(error) = known() {
                        return (blob, Err(error));
                    }
                    let answer = keys.decrypt(blob).await;
                    if let Err(error) = &answer
                        && !concerns_the_blob(error)
                    {
                        *outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                    }
                    (blob, answer)
                })
            })
            .collect();
        let mut calls = stream::iter(calls).buffer_unordered(keys.concurrent_calls);
        while let Some((blob, answer)) = calls.next().await {
            self.answers.insert(blob, answer);
        }
    }

    pub(super) fn of(&self, blob: &[u8]) -> Result<SecretBytes> {
        match self.answers.get(blob) {
            Some(answer) => answer.clone(),
            None => Err(Error::new(ErrorKind::KeyUnavailable).message("the key service was not asked")),
        }
    }

    /// Whether the key service did not make this blob.
    #[cfg(feature = "pydynox")]
    pub(super) fn is_foreign(&self, blob: &[u8]) -> bool {
        matches!(self.answers.get(blob), Some(Err(error)) if concerns_the_blob(error))
    }
}

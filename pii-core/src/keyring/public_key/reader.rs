//! The side that opens.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use zeroize::Zeroizing;

use super::{
    AUTH, BASE, KEY_BYTES, SenderPolicy, check_purpose, info,
    keys::{PrivateKey, PublicKey},
    suite::{self, POINT_BYTES},
    wrapped::PrivateKeySource,
};
use crate::{
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    keyring::{
        KeyBinding,
        cache::{Ages, Cache},
        refuse_test_copies,
    },
    wire::{KeyId, Provider, TAG_BYTES, WrappedKey, encode::Reader},
};

pub(super) struct KeyReader {
    pub(super) sources: Vec<PrivateKeySource>,
    pub(super) accepted: SenderPolicy,
    /// Wrapped private keys, unwrapped.
    unwrapped: Arc<Cache<KeyId, PrivateKey>>,
}

/// A blob, taken apart.
struct Blob<'a> {
    /// In Auth mode, who says to have sealed it.
    sender: Option<KeyId>,
    encapsulated: &'a [u8; POINT_BYTES],
    ciphertext: &'a [u8; KEY_BYTES],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Blob<'a> {
    fn parse(blob: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(blob);
        let sender = match reader.u8()? {
            BASE => None,
            AUTH => Some(KeyId::from_bytes(reader.array()?)),
            _ => return None,
        };
        let blob = Self {
            sender,
            encapsulated: reader.array_ref()?,
            ciphertext: reader.array_ref()?,
            tag: reader.array_ref()?,
        };
        reader.0.is_empty().then_some(blob)
    }
}

impl KeyReader {
    pub(super) fn new(sources: Vec<PrivateKeySource>, accepted: SenderPolicy, max_age: Duration) -> Self {
        let unwrapped = Arc::new(Cache::new(Ages { max_age, grace: max_age }));
        Self { sources, accepted, unwrapped }
    }

    pub(super) async fn unwrap(
        &self,
        copies: &[WrappedKey],
        binding: &KeyBinding,
        is_wanted: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<DataKey> {
        refuse_test_copies(copies)?;
        check_purpose(binding, ErrorKind::Integrity)?;
        let mut failure = None;
        for copy in copies.iter().filter(|copy| copy.provider == Provider::PUBLIC_KEY) {
            let named =
                |source: &&PrivateKeySource| KeyId::parse(&copy.key_name) == Some(source.public_key().id());
            let Some(source) = self.sources.iter().find(named) else { continue };
            match self.open(source, &copy.blob, binding).await {
                Ok(data_key) if is_wanted(&data_key) => return Ok(data_key),
                Ok(_) => drop(failure.get_or_insert_with(|| altered(binding))),
                Err(error) => drop(failure.get_or_insert(error)),
            }
        }
        Err(failure.unwrap_or_else(|| {
            Error::new(ErrorKind::KeyMissing)
                .message("the data key is not sealed to the public key of this reader")
                .help("add the private key of the public key with which the value was written")
        }))
    }

    async fn open(&self, source: &PrivateKeySource, blob: &[u8], binding: &KeyBinding) -> Result<DataKey> {
        let blob = Blob::parse(blob).ok_or_else(|| altered(binding))?;
        let sender = self.sender(blob.sender)?;
        let private = self.private_key(source).await?;
        let mut bytes = Zeroizing::new(*blob.ciphertext);
        let opened = suite::open(
            private.scalar(),
            sender.map(PublicKey::point),
            blob.encapsulated,
            &info(private.public_key().id(), binding),
            &[],
            &mut *bytes,
            blob.tag,
        );
        opened.map(|()| DataKey::take(&mut bytes)).ok_or_else(|| altered(binding))
    }

    /// Whose public key the proof is checked with, before anything is opened.
    fn sender(&self, claimed: Option<KeyId>) -> Result<Option<&PublicKey>> {
        let refused = |message: &str| Error::new(ErrorKind::Integrity).message(message.to_owned());
        match (&self.accepted, claimed) {
            (SenderPolicy::AnyoneWithThePublicKey, None) => Ok(None),
            (SenderPolicy::AnyoneWithThePublicKey, Some(claimed)) => {
                Err(refused("the writer proves who it is, and this reader knows no writers")
                    .key(claimed)
                    .help("accept it by name: `SenderPolicy::Authenticated`"))
            }
            (SenderPolicy::Authenticated(_), None) => {
                Err(refused("the writer does not prove who it is, and this reader demands it"))
            }
            (SenderPolicy::Authenticated(accepted), Some(claimed)) => {
                accepted.iter().find(|sender| sender.id() == claimed).map(Some).ok_or_else(|| {
                    refused("the writer is none of those that this reader accepts").key(claimed)
                })
            }
        }
    }

    async fn private_key(&self, source: &PrivateKeySource) -> Result<PrivateKey> {
        if let PrivateKeySource::Held(key) = source {
            return Ok(key.clone());
        }
        let fetched = source.clone();
        self.unwrapped.get(source.public_key().id(), || async move { fetched.fetch().await }.boxed()).await
    }
}

impl fmt::Debug for KeyReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("keys", &self.sources).field("accepted", &self.accepted).finish()
    }
}

fn altered(binding: &KeyBinding) -> Error {
    Error::new(ErrorKind::ContextMismatch).message(format!(
        "the wrapped data key does not open under the expected context ({}), or was altered",
        binding.context.names()
    ))
}

//! A private key wrapped by another keyring: see FORMAT.md, "Wrapped private key".

use std::{fmt, str::FromStr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use super::keys::{PrivateKey, PublicKey};
use crate::{
    context::EncryptionContext,
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    key_store::CopyJson,
    keyring::{KeyBinding, KeyEncryptionKey, Keyring, refuse_test_copies},
    wire::{KeyId, Purpose, WrappedKey, copies::MAX_COPIES},
};

const FORMAT: &str = "pii-wrapped-private-key-1";
/// Reserved: no context of a program has it, so no other key is wrapped for the same binding.
const CONTEXT_NAME: &str = "pii:private-key";

/// A private key that a keyring, such as a key service, has to unwrap before it can be used: made
/// by [`PublicKeyring::generate_pair`](super::PublicKeyring::generate_pair). Its text is JSON and
/// no secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedPrivateKey {
    public: PublicKey,
    /// Names the data key under which the private key is sealed, and commits to it.
    key_id: KeyId,
    copies: Vec<WrappedKey>,
    sealed: Vec<u8>,
}

impl WrappedPrivateKey {
    pub(super) async fn generate(inner: &dyn Keyring) -> Result<Self> {
        let private = PrivateKey::generate()?;
        let public = private.public_key().clone();
        let binding = binding(&public);
        let generated = inner.generate(&binding).await?;
        refuse_test_copies(&generated.copies)?;
        let key = KeyEncryptionKey::of_private_key(generated.data_key);
        let sealed = key.wrap(private.as_data_key(), &binding)?;
        let wrapped = Self { public, key_id: key.id(), copies: generated.copies, sealed };
        if !wrapped.is_sound() {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the keyring gave wrapped copies that cannot be stored"));
        }
        // a pair whose private key is lost would take every value with it
        wrapped.unwrap(inner).await?;
        Ok(wrapped)
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// This key for a reader; `keyring` unwraps it at its first use, and again when it has aged.
    #[must_use]
    pub fn unwrapped_by(self, keyring: Arc<dyn Keyring>) -> PrivateKeySource {
        PrivateKeySource::Wrapped(Arc::new(self), keyring)
    }

    async fn unwrap(&self, keyring: &dyn Keyring) -> Result<PrivateKey> {
        refuse_test_copies(&self.copies)?;
        let key_id = self.key_id;
        let is_wanted = move |data_key: &DataKey| data_key.id() == key_id;
        let binding = binding(&self.public);
        let data_key = keyring.unwrap(&self.copies, &binding, &is_wanted).await?;
        let wrong = || {
            Error::new(ErrorKind::Integrity)
                .key(self.public.id())
                .message("the wrapped private key was altered")
        };
        if !is_wanted(&data_key) {
            return Err(wrong());
        }
        let scalar = KeyEncryptionKey::of_private_key(data_key).unwrap(&self.sealed, &binding);
        let private = scalar.and_then(PrivateKey::from_scalar).ok_or_else(wrong)?;
        if *private.public_key() == self.public { Ok(private) } else { Err(wrong()) }
    }

    fn is_sound(&self) -> bool {
        (1..=MAX_COPIES).contains(&self.copies.len())
    }
}

/// Wraps another key, never values; of one key pair.
fn binding(public: &PublicKey) -> KeyBinding {
    let context = EncryptionContext::reserved(CONTEXT_NAME, &public.id().to_string());
    KeyBinding { context: Arc::new(context), purpose: Purpose::Branch, epoch: 0 }
}

#[derive(Serialize, Deserialize)]
struct Json {
    format: String,
    public_key: String,
    key_id: String,
    copies: Vec<CopyJson>,
    sealed: String,
}

impl FromStr for WrappedPrivateKey {
    type Err = Error;

    /// Reads what `to_string` gives.
    fn from_str(text: &str) -> Result<Self> {
        let parsed = serde_json::from_str::<Json>(text).ok().and_then(|json| {
            let wrapped = Self {
                public: json.public_key.parse().ok()?,
                key_id: KeyId::parse(&json.key_id)?,
                copies: json.copies.into_iter().map(CopyJson::into_copy).collect::<Option<_>>()?,
                sealed: STANDARD.decode(json.sealed).ok()?,
            };
            (json.format == FORMAT && wrapped.is_sound()).then_some(wrapped)
        });
        parsed.ok_or_else(|| {
            Error::new(ErrorKind::Configuration)
                .message("this is no wrapped private key")
                .help("give the whole text that `PublicKeyring::generate_pair` made")
        })
    }
}

impl fmt::Display for WrappedPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let json = Json {
            format: FORMAT.to_owned(),
            public_key: self.public.to_string(),
            key_id: self.key_id.to_string(),
            copies: self.copies.iter().map(CopyJson::from).collect(),
            sealed: STANDARD.encode(&self.sealed),
        };
        f.write_str(&serde_json::to_string(&json).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for WrappedPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedPrivateKey(of {})", self.public.id())
    }
}

/// Where a reader's private key comes from: a [`PrivateKey`], or a [`WrappedPrivateKey`] with the
/// keyring that unwraps it.
#[derive(Clone)]
pub enum PrivateKeySource {
    /// In memory, from a file or made by this process.
    Held(PrivateKey),
    /// Unwrapped when it is needed.
    Wrapped(Arc<WrappedPrivateKey>, Arc<dyn Keyring>),
}

impl PrivateKeySource {
    pub(super) fn public_key(&self) -> &PublicKey {
        match self {
            Self::Held(key) => key.public_key(),
            Self::Wrapped(wrapped, _) => wrapped.public_key(),
        }
    }

    pub(super) async fn fetch(&self) -> Result<PrivateKey> {
        match self {
            Self::Held(key) => Ok(key.clone()),
            Self::Wrapped(wrapped, keyring) => wrapped.unwrap(&**keyring).await,
        }
    }
}

impl From<PrivateKey> for PrivateKeySource {
    fn from(key: PrivateKey) -> Self {
        Self::Held(key)
    }
}

impl fmt::Debug for PrivateKeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKeySource(of {})", self.public_key().id())
    }
}

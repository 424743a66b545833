//! Data keys sealed to public keys: who writes need not be able to read.

mod keys;
mod reader;
mod suite;
mod wrapped;
mod writer;

use std::time::Duration;

use futures_core::future::BoxFuture;

pub use self::{
    keys::{PrivateKey, PublicKey},
    wrapped::{PrivateKeySource, WrappedPrivateKey},
};
use self::{reader::KeyReader, writer::Writer};
use super::{GeneratedKey, KeyBinding, Keyring, key_encryption_key::wrap_binding};
use crate::{
    crypto::{DataKey, KeyLabel},
    error::{Error, ErrorKind, Result},
    wire::{KeyId, Purpose, WrappedKey, copies::MAX_COPIES},
};

/// The modes of RFC 9180, by its numbers.
const BASE: u8 = 0x00;
const AUTH: u8 = 0x02;
const KEY_BYTES: usize = 32;

/// A keyring for programs that write and can't read. A **writer** holds public keys and seals each
/// data key to them; a **reader** holds the private key of one of them.
///
/// A writer makes data keys of its own, of purpose [`Purpose::Drop`], and can open only what it
/// wrote itself, for as long as it keeps the data key in memory. Whoever takes over the writer
/// later finds nothing there that opens older values.
///
/// **Who has written it?** To know a public key is enough to seal a value that opens. Where that is
/// not acceptable, writers prove themselves with a private key of their own
/// ([`authenticated`](Self::authenticated)), and readers name the writers they accept
/// ([`SenderPolicy::Authenticated`]). The reader itself could forge values in a writer's name, to
/// itself only.
///
/// Public keys are taken from the program's configuration and never from the database or a key
/// store: whoever can write there could put their own key in the place of the reader's.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Cryptor, PrivateKey, PublicKeyring, SenderPolicy};
///
/// // once, by those who read; in production with `PrivateKey::create` or `generate_pair`
/// let reader = PrivateKey::generate()?;
/// let pinned = reader.public_key().to_string();
///
/// // in the program that writes
/// let sender = PrivateKey::generate()?; // `PrivateKey::open` in production
/// let accepted = sender.public_key().clone();
/// let keyring = PublicKeyring::writer([pinned.parse()?])?.authenticated(sender)?;
/// let writing = Cryptor::envelope().keyring(keyring).build()?;
///
/// // in the program that reads
/// let keyring = PublicKeyring::reader([reader], SenderPolicy::Authenticated(vec![accepted]))?;
/// let reading = Cryptor::envelope().keyring(keyring).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
///
/// HPKE of RFC 9180 with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM; see FORMAT.md,
/// "HPKE wrap". This keyring needs the feature `public-keyring`.
#[derive(Debug)]
pub struct PublicKeyring(Role);

#[derive(Debug)]
enum Role {
    Writer(Writer),
    Reader(KeyReader),
}

/// From whom a reader takes values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SenderPolicy {
    /// From writers that prove to have the private key of one of these; every other copy is
    /// refused.
    Authenticated(Vec<PublicKey>),
    /// From anyone: whoever knows the reader's public key and can write to the database can forge
    /// values, and nothing tells them from true ones. Copies of writers that prove themselves are
    /// refused, because this reader can't check the proof.
    AnyoneWithThePublicKey,
}

impl PublicKeyring {
    /// A keyring that seals to each of these public keys, 1 to 8, and opens nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there are none, more than 8, or one twice.
    pub fn writer(recipients: impl IntoIterator<Item = PublicKey>) -> Result<Self> {
        let recipients: Vec<PublicKey> = recipients.into_iter().collect();
        let wrong = |message: &str| Err(Error::new(ErrorKind::Configuration).message(message.to_owned()));
        if recipients.is_empty() || recipients.len() > MAX_COPIES {
            return wrong("a public keyring seals to 1 to 8 public keys");
        }
        if has_twice(recipients.iter().map(PublicKey::id)) {
            return wrong("a public key is given twice");
        }
        Ok(Self(Role::Writer(Writer { recipients, sender: None })))
    }

    /// This writer, proving with its private key that it is the one who seals.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if this is a reader.
    pub fn authenticated(self, sender: PrivateKey) -> Result<Self> {
        match self.0 {
            Role::Writer(writer) => Ok(Self(Role::Writer(Writer { sender: Some(sender), ..writer }))),
            Role::Reader(_) => {
                Err(Error::new(ErrorKind::Configuration).message("a reader seals nothing: it has no sender"))
            }
        }
    }

    /// A keyring that opens what was sealed to the public key of one of these private keys, by the
    /// senders it accepts. It seals nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no key, one is given twice, or the list of senders
    /// is empty.
    pub fn reader(
        keys: impl IntoIterator<Item = impl Into<PrivateKeySource>>,
        accepted: SenderPolicy,
    ) -> Result<Self> {
        let sources: Vec<PrivateKeySource> = keys.into_iter().map(Into::into).collect();
        let wrong = |message: &str| Err(Error::new(ErrorKind::Configuration).message(message.to_owned()));
        if sources.is_empty() {
            return wrong("a reader needs a private key");
        }
        if has_twice(sources.iter().map(|source| source.public_key().id())) {
            return wrong("a private key is given twice");
        }
        if accepted == SenderPolicy::Authenticated(Vec::new()) {
            return wrong("a reader that accepts no sender opens nothing");
        }
        Ok(Self(Role::Reader(KeyReader::new(sources, accepted, Duration::from_secs(300)))))
    }

    /// How long a reader keeps a wrapped private key in memory before its keyring is asked again,
    /// and how much longer while that keyring is throttled or unavailable; 300 seconds by default. A
    /// writer is left as it is.
    #[must_use]
    pub fn max_age(self, max_age: Duration) -> Self {
        match self.0 {
            Role::Reader(reader) => {
                Self(Role::Reader(KeyReader::new(reader.sources, reader.accepted, max_age)))
            }
            writer @ Role::Writer(_) => Self(writer),
        }
    }

    /// Makes a key pair whose private key never leaves this call in clear: `inner`, a key service or
    /// a key file, wraps it. The public key goes to the writers, the wrapped private key, which is
    /// no secret, to the readers.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use pii::{LocalKeyring, PublicKeyring, SenderPolicy, WrappedPrivateKey};
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("pii.key");
    /// let inner = Arc::new(LocalKeyring::create(&path)?); // or a key service
    /// let (public, wrapped) = PublicKeyring::generate_pair(&*inner).await?;
    /// let (public, wrapped) = (public.to_string(), wrapped.to_string());
    ///
    /// let writer = PublicKeyring::writer([public.parse()?])?;
    /// let key = wrapped.parse::<WrappedPrivateKey>()?.unwrapped_by(inner);
    /// let reader = PublicKeyring::reader([key], SenderPolicy::AnyoneWithThePublicKey)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of `inner`. The test keyring is refused: everybody could unwrap the private key, and
    /// nothing would mark the values. So is a hierarchical keyring, which wraps data keys only.
    pub async fn generate_pair(inner: &dyn Keyring) -> Result<(PublicKey, WrappedPrivateKey)> {
        let wrapped = WrappedPrivateKey::generate(inner).await?;
        Ok((wrapped.public_key().clone(), wrapped))
    }
}

fn has_twice(ids: impl Iterator<Item = KeyId>) -> bool {
    let mut ids: Vec<KeyId> = ids.collect();
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    ids.len() != count
}

/// What the encapsulation binds besides both keys.
fn info(recipient: KeyId, binding: &KeyBinding) -> Vec<u8> {
    wrap_binding(KeyLabel::Hpke, recipient, binding)
}

/// A public keyring has data keys of purpose `drop` alone.
fn check_purpose(binding: &KeyBinding, otherwise: ErrorKind) -> Result<()> {
    if binding.purpose == Purpose::Drop {
        return Ok(());
    }
    Err(Error::new(otherwise).message(format!(
        "a public keyring has data keys of purpose `drop` only, not `{}`",
        binding.purpose.name()
    )))
}

impl Keyring for PublicKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        let generated = self.writing().and_then(|writer| {
            let data_key = DataKey::generate()?;
            let copies = writer.wrap(&data_key, binding)?;
            Ok(GeneratedKey { data_key, copies })
        });
        Box::pin(std::future::ready(generated))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        match &self.0 {
            Role::Reader(reader) => Box::pin(reader.unwrap(copies, binding, is_wanted)),
            Role::Writer(_) => Box::pin(std::future::ready(Err(Error::new(ErrorKind::Mode)
                .message("this keyring holds public keys only: it writes and can't read")
                .help("read with `PublicKeyring::reader`, in a program that may")))),
        }
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        let wrapped = self.writing().and_then(|writer| writer.wrap(data_key, binding));
        Box::pin(std::future::ready(wrapped))
    }

    fn can_unwrap(&self) -> bool {
        matches!(self.0, Role::Reader(_))
    }
}

impl PublicKeyring {
    fn writing(&self) -> Result<&Writer> {
        match &self.0 {
            Role::Writer(writer) => Ok(writer),
            Role::Reader(_) => Err(Error::new(ErrorKind::Mode)
                .message("this keyring holds private keys to read with: it does not write")
                .help("write with `PublicKeyring::writer`")),
        }
    }
}

//! Values of the PII fields of [AMSDAL](https://amsdal.com): `#01#` and `#10#` around four parts in base64,
//!
//! ```text
//! #01#wrapped data key:iv [12]:AES-256-GCM ciphertext:tag [16]#10#
//! ```
//!
//! with a data key for all values of one request, and nothing in the associated data.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    cipher::{self, GCM_NONCE_BYTES},
    key_service::KeyService,
    named_keys::{Answers, NamedKeys},
};
use crate::{
    crypto::fill_random,
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::{MAX_PLAINTEXT_BYTES, TAG_BYTES},
};

const BEGIN: &str = "#01#";
const END: &str = "#10#";
/// The most that KMS takes to decrypt (API reference, `CiphertextBlob`).
const MAX_BLOB_BYTES: usize = 6144;
/// All parts at their longest, in base64.
const MAX_TEXT_BYTES: usize = (MAX_BLOB_BYTES + MAX_PLAINTEXT_BYTES + 64) / 3 * 4 + 32;

/// Reads and writes values as AMSDAL's PII Cryptor service does.
///
/// A call of [`encrypt_all`](Amsdal::encrypt_all) is a request: its values share one data key, which is one
/// call to the key service. Opening a batch asks once for each data key in it. Nothing is kept between
/// calls.
///
/// What AMSDAL's `FakeCryptoService` wrote, the value itself between the marks, is never taken for
/// encrypted: it is an error of the kind [`ErrorKind::FakeEncryption`].
///
/// **These values are bound to nothing but the key**: one that is copied to another row or field opens
/// there.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Amsdal, KeyService};
///
/// # async fn run(kms: impl KeyService, stored: &str) -> Result<(), pii::Error> {
/// let fields = Amsdal::new(kms, "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab");
/// let email = fields.decrypt(stored).await?;
/// let stored_anew = fields.encrypt(email.expose()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Amsdal {
    keys: NamedKeys,
}

impl Amsdal {
    /// Values under this key, named by id, ARN or alias: that of the client whose fields they are.
    #[must_use]
    pub fn new(service: impl KeyService, key_id: impl Into<String>) -> Self {
        Self::shared(Arc::new(service), key_id)
    }

    /// As [`Amsdal::new`], with a key service that is used elsewhere too.
    #[must_use]
    pub fn shared(service: Arc<dyn KeyService>, key_id: impl Into<String>) -> Self {
        let help = "give `Amsdal` the key of the client whose field it is, and the context of its data keys";
        Self { keys: NamedKeys::new(service, key_id.into(), help) }
    }

    /// A key that older values are under. It is asked where the first key, or the one added before, did
    /// not make the blob. New values are never under it.
    #[must_use]
    pub fn decrypt_only(mut self, key_id: impl Into<String>) -> Self {
        self.keys.decrypt_only.push(key_id.into());
        self
    }

    /// Adds pairs to the encryption context that data keys are wrapped in; empty by default. Key services
    /// log it in clear.
    #[must_use]
    pub fn context<N: Into<String>, V: Into<String>>(
        mut self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        self.keys.add_context(pairs);
        self
    }

    /// Opens one value.
    ///
    /// # Errors
    /// [`ErrorKind::NotEncrypted`] for a text without the marks, [`ErrorKind::FakeEncryption`] for one of
    /// the fake service; [`ErrorKind::Malformed`], [`ErrorKind::Integrity`]; key errors.
    pub async fn decrypt(&self, text: &str) -> Result<SecretBytes> {
        let opened = self.decrypt_each(&[text]).await.pop();
        opened.unwrap_or_else(|| Err(malformed()))
    }

    /// Opens values, and says for each what became of it. One call to the key service for each data key,
    /// of which 16 are under way at once; after an error that all calls would have, such as an outage, no
    /// further one is made.
    pub async fn decrypt_each(&self, texts: &[&str]) -> Vec<Result<SecretBytes>> {
        let parsed: Vec<Result<Parts>> = texts.iter().map(|text| Parts::parse(text)).collect();
        let mut answers = Answers::new(&self.keys);
        answers.ask(parsed.iter().flatten().map(|parts| parts.blob.as_slice())).await;
        let open = |parts: &Result<Parts>| {
            let parts = parts.as_ref().map_err(Clone::clone)?;
            let opened = parts.open(&answers.of(&parts.blob)?);
            opened.map_err(|error| error.key(&self.keys.key_id))
        };
        parsed.iter().map(open).collect()
    }

    /// The text that AMSDAL would store for this plaintext.
    ///
    /// # Errors
    /// As [`Amsdal::encrypt_all`].
    pub async fn encrypt(&self, plaintext: &[u8]) -> Result<String> {
        let text = self.encrypt_all(&[plaintext]).await?.pop();
        text.ok_or_else(|| Error::new(ErrorKind::Configuration).message("nothing was encrypted"))
    }

    /// The texts of many plaintexts, in their order: all or none. They share one data key.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`] for bytes that are not UTF-8, [`ErrorKind::TooLarge`] above 1 MiB; key
    /// errors.
    pub async fn encrypt_all(&self, plaintexts: &[&[u8]]) -> Result<Vec<String>> {
        plaintexts.iter().try_for_each(|plaintext| check(plaintext))?;
        if plaintexts.is_empty() {
            return Ok(Vec::new());
        }
        let made = self.keys.generate().await?;
        if made.blob.is_empty() || made.blob.len() > MAX_BLOB_BYTES {
            return Err(Error::new(ErrorKind::Integrity)
                .key(&self.keys.key_id)
                .message("the key service gave a wrapped data key of an impossible length"));
        }
        let blob = STANDARD.encode(&made.blob);
        plaintexts.iter().map(|plaintext| seal(&blob, &made.plaintext, plaintext)).collect()
    }
}

impl fmt::Debug for Amsdal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Amsdal")
            .field("key_id", &self.keys.key_id)
            .field("context", &self.keys.context.keys())
            .finish_non_exhaustive()
    }
}

/// A text, taken apart.
struct Parts {
    blob: Vec<u8>,
    nonce: [u8; GCM_NONCE_BYTES],
    ciphertext: Vec<u8>,
    tag: [u8; TAG_BYTES],
}

impl Parts {
    fn parse(text: &str) -> Result<Self> {
        let inner = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
        let inner = inner.ok_or_else(|| {
            Error::new(ErrorKind::NotEncrypted).message("the text is not between the marks of AMSDAL")
        })?;
        // no encrypted value is without colons
        if !inner.contains(':') {
            return Err(Error::new(ErrorKind::FakeEncryption)
                .message("AMSDAL's `FakeCryptoService` wrote it")
                .help("it is plaintext from a development set-up: remove the marks to use it as such"));
        }
        if text.len() > MAX_TEXT_BYTES {
            return Err(malformed());
        }
        Self::of(inner).ok_or_else(malformed)
    }

    fn of(inner: &str) -> Option<Self> {
        let parts: Vec<&str> = inner.splitn(5, ':').collect();
        let &[blob, nonce, ciphertext, tag] = parts.as_slice() else { return None };
        let decode = |part: &str| STANDARD.decode(part).ok();
        let parts = Self {
            blob: decode(blob)?,
            nonce: decode(nonce)?.try_into().ok()?,
            ciphertext: decode(ciphertext)?,
            tag: decode(tag)?.try_into().ok()?,
        };
        let is_possible = !parts.blob.is_empty()
            && parts.blob.len() <= MAX_BLOB_BYTES
            && parts.ciphertext.len() <= MAX_PLAINTEXT_BYTES;
        is_possible.then_some(parts)
    }

    fn open(&self, data_key: &SecretBytes) -> Result<SecretBytes> {
        let plaintext = cipher::open(data_key, &self.nonce, &self.ciphertext, &self.tag)?;
        if std::str::from_utf8(plaintext.expose()).is_err() {
            return Err(Error::new(ErrorKind::Malformed).message("the plaintext is not text"));
        }
        Ok(plaintext)
    }
}

fn seal(blob: &str, data_key: &SecretBytes, plaintext: &[u8]) -> Result<String> {
    let mut nonce = [0; GCM_NONCE_BYTES];
    fill_random(&mut nonce)?;
    // with room for the tag: a block that grows would leave plaintext behind
    let mut sealed = Zeroizing::new(Vec::with_capacity(plaintext.len() + TAG_BYTES));
    cipher::seal(data_key, &nonce, plaintext, &mut sealed)?;
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or_else(malformed)?;
    let [nonce, ciphertext, tag] = [&nonce, ciphertext, tag.as_slice()].map(|part| STANDARD.encode(part));
    Ok(format!("{BEGIN}{blob}:{nonce}:{ciphertext}:{tag}{END}"))
}

fn check(plaintext: &[u8]) -> Result<()> {
    if plaintext.len() > MAX_PLAINTEXT_BYTES {
        return Err(Error::new(ErrorKind::TooLarge)
            .message(format!("at most {MAX_PLAINTEXT_BYTES} bytes can be encrypted")));
    }
    if std::str::from_utf8(plaintext).is_err() {
        return Err(Error::new(ErrorKind::Malformed)
            .message("AMSDAL encrypts text, and these bytes are none")
            .help("write the values of this field in the format of this library"));
    }
    Ok(())
}

fn malformed() -> Error {
    Error::new(ErrorKind::Malformed)
        .message("between the marks of AMSDAL there are not the four parts of an encrypted value")
}

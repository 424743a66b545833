//! From stored texts to plaintexts.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, stream};

use super::{
    Pydynox, cipher,
    form::{Envelope, Form},
};
use crate::{
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::FormatError,
};

impl Pydynox {
    /// Opens one value.
    ///
    /// # Errors
    /// [`ErrorKind::NotEncrypted`] for a text without `ENC:`, which pydynox takes for plaintext;
    /// [`ErrorKind::Malformed`], [`ErrorKind::UnknownVersion`], [`ErrorKind::Integrity`];
    /// [`ErrorKind::ContextMismatch`] where key, context and wrapped data key do not belong together;
    /// key errors.
    pub async fn decrypt(&self, text: &str) -> Result<SecretBytes> {
        let opened = self.decrypt_each(&[text]).await.pop();
        opened.unwrap_or_else(|| Err(FormatError::Malformed.into()))
    }

    /// Opens values, and says for each what became of it. Equal blobs are one call to the key service.
    /// After an error that all calls would have, such as an outage, no further one is made.
    pub async fn decrypt_each(&self, texts: &[&str]) -> Vec<Result<SecretBytes>> {
        let parsed = texts.iter().map(|text| Form::parse(text, self.format).map_err(refuse));
        let parsed: Vec<Result<Form>> = parsed.collect();
        let mut calls = Calls::new(self);
        let first = parsed.iter().flatten().map(|form| match form {
            Form::Envelope(envelope) | Form::EnvelopeOrDirect(envelope, _) => &*envelope.blob,
            Form::Direct(blob) => blob,
        });
        calls.make(first).await;
        let second = parsed.iter().flatten().filter_map(|form| match form {
            Form::EnvelopeOrDirect(envelope, blob) if calls.is_foreign(&envelope.blob) => Some(&**blob),
            _ => None,
        });
        let second: Vec<&[u8]> = second.collect();
        calls.make(second).await;
        parsed.iter().map(|form| calls.open(form.as_ref().map_err(Clone::clone)?)).collect()
    }

    /// Asks for one blob, under one key after the other.
    async fn unwrap(&self, blob: &[u8]) -> Result<SecretBytes> {
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
            .help("give `Pydynox` the `key_id` and the `context` of the attribute that wrote the value")
            .source(refusal)
    }
}

/// Whether another blob, or another key, may fare better.
fn concerns_the_blob(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Integrity | ErrorKind::ContextMismatch | ErrorKind::KeyMissing)
}

/// The answers of the key service to the blobs of one batch.
struct Calls<'a> {
    pydynox: &'a Pydynox,
    answers: HashMap<&'a [u8], Result<SecretBytes>>,
}

impl<'a> Calls<'a> {
    fn new(pydynox: &'a Pydynox) -> Self {
        Self { pydynox, answers: HashMap::new() }
    }

    /// Asks for those blobs that were not asked for yet.
    async fn make(&mut self, blobs: impl IntoIterator<Item = &'a [u8]>) {
        let mut missing: Vec<&[u8]> =
            blobs.into_iter().filter(|blob| !self.answers.contains_key(blob)).collect();
        missing.sort_unstable();
        missing.dedup();
        let pydynox = self.pydynox;
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
                    let answer = pydynox.unwrap(blob).await;
                    if let Err(error) = &answer
                        && !concerns_the_blob(error)
                    {
                        *outage.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
                    }
                    (blob, answer)
                })
            })
            .collect();
        let mut calls = stream::iter(calls).buffer_unordered(pydynox.concurrent_calls);
        while let Some((blob, answer)) = calls.next().await {
            self.answers.insert(blob, answer);
        }
    }

    /// Whether the key service did not make this blob.
    fn is_foreign(&self, blob: &[u8]) -> bool {
        matches!(self.answers.get(blob), Some(Err(error)) if concerns_the_blob(error))
    }

    fn open(&self, form: &Form) -> Result<SecretBytes> {
        let plaintext = match form {
            Form::Envelope(envelope) => self.open_envelope(envelope)?,
            Form::EnvelopeOrDirect(envelope, _) if !self.is_foreign(&envelope.blob) => {
                self.open_envelope(envelope)?
            }
            Form::Direct(blob) | Form::EnvelopeOrDirect(_, blob) => self.answer(blob)?,
        };
        // nor is a data key, which someone put in place of a direct value, handed out for one
        if std::str::from_utf8(plaintext.expose()).is_err() {
            return Err(Error::new(ErrorKind::Malformed).message("the plaintext is not text"));
        }
        Ok(plaintext)
    }

    fn open_envelope(&self, envelope: &Envelope) -> Result<SecretBytes> {
        let data_key = self.answer(&envelope.blob)?;
        cipher::open(&data_key, &envelope.nonce, &envelope.ciphertext, &envelope.tag)
            .map_err(|error| error.key(&self.pydynox.key_id))
    }

    fn answer(&self, blob: &[u8]) -> Result<SecretBytes> {
        match self.answers.get(blob) {
            Some(answer) => answer.clone(),
            None => Err(Error::new(ErrorKind::KeyUnavailable).message("the key service was not asked")),
        }
    }
}

pub(super) fn refuse(error: FormatError) -> Error {
    match error {
        FormatError::UnknownVersion => Error::new(ErrorKind::UnknownVersion)
            .message("the text is not of the form in which pydynox writes")
            .help("values from before pydynox 0.14 need `PydynoxFormat::Direct` or `Either`"),
        other => other.into(),
    }
}

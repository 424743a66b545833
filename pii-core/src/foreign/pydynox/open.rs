//! From stored texts to plaintexts.

use super::{
    Pydynox,
    form::{Envelope, Form},
};
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::{cipher, named_keys::Answers},
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
        let mut answers = Answers::new(&self.keys);
        let first = parsed.iter().flatten().map(|form| match form {
            Form::Envelope(envelope) | Form::EnvelopeOrDirect(envelope, _) => &*envelope.blob,
            Form::Direct(blob) => blob,
        });
        answers.ask(first).await;
        let second = parsed.iter().flatten().filter_map(|form| match form {
            Form::EnvelopeOrDirect(envelope, blob) if answers.is_foreign(&envelope.blob) => Some(&**blob),
            _ => None,
        });
        let second: Vec<&[u8]> = second.collect();
        answers.ask(second).await;
        let calls = Calls { pydynox: self, answers };
        parsed.iter().map(|form| calls.open(form.as_ref().map_err(Clone::clone)?)).collect()
    }
}

/// What opens the parsed texts of one batch.
struct Calls<'a> {
    pydynox: &'a Pydynox,
    answers: Answers<'a>,
}

impl Calls<'_> {
    fn open(&self, form: &Form) -> Result<SecretBytes> {
        let plaintext = match form {
            Form::Envelope(envelope) => self.open_envelope(envelope)?,
            Form::EnvelopeOrDirect(envelope, _) if !self.answers.is_foreign(&envelope.blob) => {
                self.open_envelope(envelope)?
            }
            Form::Direct(blob) | Form::EnvelopeOrDirect(_, blob) => self.answers.of(blob)?,
        };
        // nor is a data key, which someone put in place of a direct value, handed out for one
        if std::str::from_utf8(plaintext.expose()).is_err() {
            return Err(Error::new(ErrorKind::Malformed).message("the plaintext is not text"));
        }
        Ok(plaintext)
    }

    fn open_envelope(&self, envelope: &Envelope) -> Result<SecretBytes> {
        let data_key = self.answers.of(&envelope.blob)?;
        cipher::open(&data_key, &envelope.nonce, &envelope.ciphertext, &envelope.tag)
            .map_err(|error| error.key(&self.pydynox.keys.key_id))
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

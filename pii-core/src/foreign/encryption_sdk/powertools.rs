//! Data masking of Powertools for AWS Lambda: JSON values in messages, as base64.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::Value;

use super::EncryptionSdk;
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::key_service::ServiceContext,
    json::{read_json, write_json},
};

/// Reads and writes what `encrypt` of the data masking utility of
/// [Powertools for AWS Lambda](https://docs.powertools.aws.dev/lambda/python/latest/utilities/data_masking/)
/// gives: a value as JSON, in a message of the AWS Encryption SDK, as base64.
///
/// ```
/// # use pii_core as pii;
/// use pii::{EncryptionSdk, KeyService, Powertools, ServiceContext};
///
/// # async fn run(kms: impl KeyService, stored: &str) -> Result<(), pii::Error> {
/// let key = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
/// let data_masker = Powertools::new(EncryptionSdk::builder(kms).key(key).build()?);
/// let context = ServiceContext::from([("tenant".to_owned(), "acme".to_owned())]);
/// let value: serde_json::Value = data_masker.decrypt(stored, &context).await?;
/// let stored_anew = data_masker.encrypt(&value, &context).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Powertools {
    messages: EncryptionSdk,
}

impl Powertools {
    /// Values in these messages.
    #[must_use]
    pub fn new(messages: EncryptionSdk) -> Self {
        Self { messages }
    }

    /// Opens a text, and reads the JSON in it. What a `Value` can't hold without loss is refused: `NaN`
    /// and `Infinity`, which Python writes, whole numbers of more than 64 bits, a key given twice.
    ///
    /// # Errors
    /// Those of [`EncryptionSdk::decrypt`]; [`ErrorKind::InvalidDocument`] for JSON that can't be read.
    pub async fn decrypt(&self, text: &str, context: &ServiceContext) -> Result<Value> {
        if text.len() / 4 > self.messages.max_message_bytes.div_ceil(3) {
            return Err(self.messages.too_large());
        }
        let message = STANDARD
            .decode(text)
            .map_err(|_| Error::new(ErrorKind::Malformed).message("the text is not base64"))?;
        let plaintext = self.messages.decrypt(&message, context).await?;
        Ok(read_json(plaintext.expose())?.release())
    }

    /// The text of a value, for Powertools or [`Powertools::decrypt`] to read.
    ///
    /// # Errors
    /// Those of [`EncryptionSdk::encrypt`]; [`ErrorKind::InvalidDocument`] for what can't be written as
    /// JSON.
    pub async fn encrypt<T: Serialize + Sync + ?Sized>(
        &self,
        value: &T,
        context: &ServiceContext,
    ) -> Result<String> {
        let plaintext = write_json(&value)?;
        let message = self.messages.encrypt(plaintext.expose(), context).await?;
        Ok(STANDARD.encode(message))
    }
}

impl fmt::Debug for Powertools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Powertools").field(&self.messages).finish()
    }
}

//! From messages to plaintexts.

use super::{
    EncryptionSdk,
    body::Body,
    context,
    header::{Header, malformed},
    signature::Signature,
    suite::MessageKey,
};
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::key_service::ServiceContext,
    secret::SecretBytes,
};

/// The nonce of the header, which is authenticated but holds nothing encrypted.
const HEADER_NONCE: [u8; 12] = [0; 12];

impl EncryptionSdk {
    /// Opens a message that was made for this context.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`], [`ErrorKind::UnknownVersion`] for other formats and algorithms,
    /// [`ErrorKind::TooLarge`]; [`ErrorKind::ContextMismatch`] before any key is asked for;
    /// [`ErrorKind::KeyMissing`] if no data key is wrapped under a key that was named; key errors;
    /// [`ErrorKind::Integrity`] where commitment, header, signature or body is not genuine.
    pub async fn decrypt(&self, message: &[u8], context: &ServiceContext) -> Result<SecretBytes> {
        context::check_own(context)?;
        if message.len() > self.max_message_bytes {
            return Err(self.too_large());
        }
        let (header, rest) = Header::read(message, self.max_encrypted_data_keys)?;
        let (body, rest) = Body::read(rest, header.framing).ok_or_else(malformed)?;
        context::check_found(&header.context, context, header.suite, self.context_match)?;
        let signature = Signature::read(message, rest, header.suite, &header.context)?;
        let data_key = self.keys.for_reading(&header.data_keys, &header.context, body.content).await?;
        let key = MessageKey::derive(&data_key, header.suite, header.message_id)?;
        key.check(header.commitment)?;
        key.check_header(&header)?;
        signature.verify()?;
        body.open(&key.cipher, header.message_id)
    }

    pub(super) fn too_large(&self) -> Error {
        Error::new(ErrorKind::TooLarge)
            .message(format!("at most {} bytes are accepted", self.max_message_bytes))
            .help("raise `max_message_bytes` if messages are longer")
    }
}

impl MessageKey {
    fn check_header(&self, header: &Header<'_>) -> Result<()> {
        self.cipher
            .open(&HEADER_NONCE, header.bytes, &mut [], header.tag)
            .map_err(|_| Error::new(ErrorKind::Integrity))
    }

    /// The tag of a new header.
    pub(super) fn seal_header(&self, header: &[u8]) -> Result<[u8; 16]> {
        self.cipher
            .seal(&HEADER_NONCE, header, &mut [])
            .map_err(|_| Error::new(ErrorKind::TooLarge).message("the header is too long"))
    }
}

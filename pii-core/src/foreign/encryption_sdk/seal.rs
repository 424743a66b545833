//! From plaintexts to messages.

use zeroize::Zeroizing;

use super::{
    EncryptionSdk, body, context, header,
    suite::{MESSAGE_ID_BYTES, MessageKey, Suite},
};
use crate::{crypto::fill_random, error::Result, foreign::key_service::ServiceContext, wire::TAG_BYTES};

/// The length of frames that the SDK in all languages has by default.
const FRAME_BYTES: u32 = 4096;

impl EncryptionSdk {
    /// A new message of algorithm `0x0478`, which every release of the SDK since 2.0 reads.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge);
    /// [`ErrorKind::InvalidContext`](crate::ErrorKind::InvalidContext) for an empty name or one that
    /// begins with `aws-crypto-`;
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if all keys are for reading only, or
    /// there are several and the key service can't [`encrypt`](crate::KeyService::encrypt); key errors.
    pub async fn encrypt(&self, plaintext: &[u8], context: &ServiceContext) -> Result<Vec<u8>> {
        context::check_own(context)?;
        if plaintext.len() > self.max_message_bytes {
            return Err(self.too_large());
        }
        let new_key = self.keys.for_writing(context, plaintext.len()).await?;
        let mut message_id = [0; MESSAGE_ID_BYTES];
        fill_random(&mut message_id)?;
        let key = MessageKey::derive(&new_key.data_key, Suite::Unsigned, &message_id)?;
        let header = header::write(
            Suite::Unsigned,
            &message_id,
            context,
            &new_key.wrapped,
            FRAME_BYTES,
            &key.commitment,
        );
        let tag = key.seal_header(&header)?;
        let body_bytes = body::written_bytes(plaintext.len(), FRAME_BYTES);
        // wiped if it does not become a message
        let mut out = Zeroizing::new(Vec::with_capacity(header.len() + TAG_BYTES + body_bytes));
        out.extend_from_slice(&header);
        out.extend_from_slice(&tag);
        body::write(&mut out, &key.cipher, &message_id, plaintext, FRAME_BYTES)?;
        Ok(std::mem::take(&mut *out))
    }
}

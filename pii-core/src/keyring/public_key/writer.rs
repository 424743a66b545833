//! The side that seals.

use zeroize::Zeroizing;

use super::{
    AUTH, BASE, KEY_BYTES, check_purpose, info,
    keys::{PrivateKey, PublicKey},
    suite::{self, Drawn, POINT_BYTES},
};
use crate::{
    crypto::DataKey,
    error::{ErrorKind, Result},
    keyring::KeyBinding,
    wire::{Provider, TAG_BYTES, WrappedKey},
};

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) recipients: Vec<PublicKey>,
    pub(super) sender: Option<PrivateKey>,
}

impl Writer {
    pub(super) fn wrap(&self, data_key: &DataKey, binding: &KeyBinding) -> Result<Vec<WrappedKey>> {
        check_purpose(binding, ErrorKind::Configuration)?;
        self.recipients.iter().map(|recipient| self.wrap_for(recipient, data_key, binding)).collect()
    }

    fn wrap_for(
        &self,
        recipient: &PublicKey,
        data_key: &DataKey,
        binding: &KeyBinding,
    ) -> Result<WrappedKey> {
        let mut bytes = Zeroizing::new(*data_key.expose_bytes());
        let info = info(recipient.id(), binding);
        let sender = self.sender.as_ref();
        let (encapsulated, tag) = suite::seal(
            recipient.point(),
            sender.map(PrivateKey::scalar),
            &info,
            &[],
            &mut *bytes,
            Drawn::new()?,
        )?;
        let mut blob = Vec::with_capacity(1 + 16 + POINT_BYTES + KEY_BYTES + TAG_BYTES);
        match sender {
            None => blob.push(BASE),
            Some(sender) => {
                blob.push(AUTH);
                blob.extend_from_slice(sender.public_key().id().as_bytes());
            }
        }
        blob.extend_from_slice(&encapsulated);
        blob.extend_from_slice(&*bytes);
        blob.extend_from_slice(&tag);
        Ok(WrappedKey { provider: Provider::PUBLIC_KEY, key_name: recipient.id().to_string(), blob })
    }
}

//! The inner envelope of level 3: version byte, application key id, nonce, ciphertext and tag.

use super::{NONCE_BYTES, TAG_BYTES, header::KeyId};

const INNER_VERSION: u8 = 0x01;
/// What stands before the ciphertext.
pub(crate) const FRONT_BYTES: usize = 1 + 16 + NONCE_BYTES;

/// Version byte and key id.
pub(crate) fn head(key_id: KeyId) -> [u8; 17] {
    let mut out = [INNER_VERSION; 17];
    let (_, id) = out.split_at_mut(1);
    id.copy_from_slice(key_id.as_bytes());
    out
}

/// The parts of an inner envelope.
pub(crate) struct InnerParts<'a> {
    pub(crate) key_id: KeyId,
    pub(crate) nonce: [u8; NONCE_BYTES],
    pub(crate) body: &'a mut [u8],
    pub(crate) tag: [u8; TAG_BYTES],
}

/// `None` if it is too short or has another version.
pub(crate) fn parse(bytes: &mut [u8]) -> Option<InnerParts<'_>> {
    let (&mut [version], rest) = bytes.split_first_chunk_mut()?;
    let (key_id, rest) = rest.split_first_chunk_mut()?;
    let (nonce, rest) = rest.split_first_chunk_mut()?;
    let (body, tag) = rest.split_last_chunk_mut()?;
    let parts = InnerParts { key_id: KeyId(*key_id), nonce: *nonce, body, tag: *tag };
    (version == INNER_VERSION).then_some(parts)
}

//! AES-256-GCM under a data key, without associated data.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    crypto::without_traces,
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::TAG_BYTES,
};

pub(super) const KEY_BYTES: usize = 32;
pub(super) const GCM_NONCE_BYTES: usize = 12;

/// Appends ciphertext and tag to `out`, which has room for them.
pub(super) fn seal(
    data_key: &SecretBytes,
    nonce: &[u8; GCM_NONCE_BYTES],
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    let key = key(data_key)?;
    let start = out.len();
    out.extend_from_slice(plaintext);
    let bytes = out.get_mut(start..).unwrap_or_default();
    let tag = without_traces(|| {
        Aes256Gcm::new(key.into()).encrypt_inout_detached(nonce.into(), b"", bytes.into()).ok()
    });
    match tag {
        Some(tag) => out.extend_from_slice(&tag),
        None => {
            out.zeroize();
            return Err(refused());
        }
    }
    Ok(())
}

/// The plaintext of ciphertext and tag.
pub(super) fn open(
    data_key: &SecretBytes,
    nonce: &[u8; GCM_NONCE_BYTES],
    ciphertext: &[u8],
    tag: &[u8; TAG_BYTES],
) -> Result<SecretBytes> {
    let key = key(data_key)?;
    let mut bytes = Zeroizing::new(ciphertext.to_vec());
    let is_genuine = without_traces(|| {
        let cipher = Aes256Gcm::new(key.into());
        cipher.decrypt_inout_detached(nonce.into(), b"", bytes.as_mut_slice().into(), tag.into()).is_ok()
    });
    if is_genuine { Ok(SecretBytes::from_vec(std::mem::take(&mut *bytes))) } else { Err(refused()) }
}

fn key(data_key: &SecretBytes) -> Result<&[u8; KEY_BYTES]> {
    data_key.expose().try_into().map_err(|_| {
        Error::new(ErrorKind::Integrity).message("the data key of the value is not 32 bytes long")
    })
}

fn refused() -> Error {
    Error::new(ErrorKind::Integrity)
}

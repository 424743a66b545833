//! XAES-256-GCM (C2SP), with the derivation step apart so that derived keys can be kept.
//!
//! The 24-byte nonce has two halves. The first 12 bytes derive an AES-256-GCM key from the XAES
//! key; the last 12 are the nonce of AES-256-GCM under the derived key.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes_gcm::{AeadInOut, Aes256Gcm};
use zeroize::{Zeroize, Zeroizing};

use crate::wire::TAG_BYTES;

pub(crate) const HALF_NONCE: usize = 12;

/// An XAES-256-GCM key, ready to derive.
pub(crate) struct XaesKey {
    cipher: Aes256,
    k1: Zeroizing<[u8; 16]>,
}

impl XaesKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let cipher = Aes256::new(key.into());
        let mut l = Array::from([0_u8; 16]);
        cipher.encrypt_block(&mut l);
        let doubled = u128::from_be_bytes(l.0);
        let k1 = doubled << 1 ^ if doubled >> 127 == 1 { 0b1000_0111 } else { 0 };
        l.zeroize();
        Self { cipher, k1: Zeroizing::new(k1.to_be_bytes()) }
    }

    /// The AES-256-GCM key of all nonces that begin with these 12 bytes.
    pub(crate) fn derive(&self, first_half: &[u8; HALF_NONCE]) -> DerivedKey {
        let mut key = Zeroizing::new([0_u8; 32]);
        for (index, half) in [1_u8, 2].into_iter().zip(key.chunks_exact_mut(16)) {
            let mut block = Array::from([0_u8; 16]);
            let (front, rest) = block.split_at_mut(4);
            front.copy_from_slice(&[0, index, b'X', 0]);
            rest.copy_from_slice(first_half);
            block.iter_mut().zip(self.k1.iter()).for_each(|(byte, k1)| *byte ^= k1);
            self.cipher.encrypt_block(&mut block);
            half.copy_from_slice(&block);
            block.zeroize();
        }
        DerivedKey(Aes256Gcm::new((&*key).into()))
    }
}

/// AES-256-GCM under a derived key.
pub(crate) struct DerivedKey(Aes256Gcm);

/// The tag did not verify, or the input is beyond the limits of GCM.
pub(crate) struct Refused;

impl DerivedKey {
    /// A key that the format of another system derives in its own way.
    #[cfg(feature = "aws-encryption-sdk")]
    pub(crate) fn of(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Encrypts in place and gives the tag.
    #[inline]
    pub(crate) fn seal(
        &self,
        second_half: &[u8; HALF_NONCE],
        associated_data: &[u8],
        bytes: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused> {
        self.0
            .encrypt_inout_detached(second_half.into(), associated_data, bytes.into())
            .map(|tag| tag.0)
            .map_err(|_| Refused)
    }

    /// Decrypts in place; on a wrong tag nothing of the plaintext is left in `bytes`.
    #[inline]
    pub(crate) fn open(
        &self,
        second_half: &[u8; HALF_NONCE],
        associated_data: &[u8],
        bytes: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Refused> {
        self.0
            .decrypt_inout_detached(second_half.into(), associated_data, bytes.into(), tag.into())
            .map_err(|_| Refused)
    }
}

/// The two halves of a nonce.
#[inline]
pub(crate) fn halves(nonce: &[u8; 2 * HALF_NONCE]) -> (&[u8; HALF_NONCE], &[u8; HALF_NONCE]) {
    const EMPTY: &[u8; HALF_NONCE] = &[0; HALF_NONCE];
    // always 12 + 12; the fallbacks only spare the type checker a panic
    let first = nonce.first_chunk().unwrap_or(EMPTY);
    let second = nonce.last_chunk().unwrap_or(EMPTY);
    (first, second)
}

#[cfg(test)]
mod tests {
    use aes_gcm::aead::{Aead, Payload};
    use proptest::prelude::*;
    use xaes_256_gcm::Xaes256Gcm;

    use super::*;

    #[inline]
    fn seal(key: &[u8; 32], nonce: &[u8; 24], plaintext: &[u8], aad: &[u8]) -> Vec<u8> {
        let (first, second) = halves(nonce);
        let mut bytes = plaintext.to_vec();
        let tag = XaesKey::new(key).derive(first).seal(second, aad, &mut bytes).ok().unwrap();
        bytes.extend_from_slice(&tag);
        bytes
    }

    proptest! {
        #[test]
        fn agrees_with_the_rustcrypto_crate(
            key: [u8; 32],
            nonce: [u8; 24],
            plaintext in proptest::collection::vec(any::<u8>(), 0..200),
            aad in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let ours = seal(&key, &nonce, &plaintext, &aad);
            let theirs = Xaes256Gcm::new(&key.into())
                .encrypt(&nonce.into(), Payload { msg: &plaintext, aad: &aad })
                .unwrap();
            prop_assert_eq!(&ours, &theirs);
            let (first, second) = halves(&nonce);
            let (mut body, tag) = ours.split_last_chunk::<16>().map(|(body, tag)| (body.to_vec(), *tag)).unwrap();
            prop_assert!(XaesKey::new(&key).derive(first).open(second, &aad, &mut body, &tag).is_ok());
            prop_assert_eq!(body, plaintext);
        }
    }
}

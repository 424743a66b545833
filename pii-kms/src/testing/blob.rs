//! Ciphertext blobs, laid out as those of the real service are.
//!
//! A header that names the key and its version, then the CMS `EncryptedData` of RFC 5652 in DER
//! with AES-256-GCM. A blob has one encoding only: whatever differs from it by a bit is refused.

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use pii_core::SecretBytes;
use zeroize::Zeroizing;

use super::{
    error::{Answer, ErrorCode, FakeError},
    random::random,
};

/// How blobs of the real service begin.
const MAGIC: [u8; 5] = [0x01, 0x02, 0x02, 0x00, 0x78];
/// The real service adds 11 bytes to the plaintext, of unknown meaning.
const INNER: [u8; 11] = *b"pii fake v1";
const NONCE: usize = 12;
const TAG: usize = 16;
const LOCATOR: usize = 32;
const VERSION: usize = 16;
/// Magic, locator, 01, version, length of the rest.
const HEADER: usize = MAGIC.len() + LOCATOR + 1 + VERSION + 4;

const OID_ENCRYPTED_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x06];
const OID_DATA: [u8; 11] = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01];
const OID_AES256_GCM: [u8; 11] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2e];
/// A tag of 16 bytes.
const TAG_LENGTH: [u8; 3] = [0x02, 0x01, 0x10];
const CMS_VERSION: [u8; 3] = [0x02, 0x01, 0x00];

/// Which key and which version of it made a blob.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Origin {
    /// Random, one for a key and its replicas.
    pub(super) locator: [u8; LOCATOR],
    pub(super) version: [u8; VERSION],
}

pub(super) struct Blob {
    pub(super) origin: Origin,
    nonce: [u8; NONCE],
    sealed: Vec<u8>,
}

impl Blob {
    pub(super) fn seal(
        key: &[u8; 32],
        origin: Origin,
        associated_data: &[u8],
        plaintext: &[u8],
    ) -> Answer<Vec<u8>> {
        let nonce = random()?;
        let mut inner = Zeroizing::new(Vec::with_capacity(INNER.len() + plaintext.len()));
        inner.extend_from_slice(&INNER);
        inner.extend_from_slice(plaintext);
        let tag = Aes256Gcm::new(key.into())
            .encrypt_inout_detached((&nonce).into(), associated_data, inner.as_mut_slice().into())
            .map_err(|_| FakeError::new(ErrorCode::Internal, "the cipher refused to encrypt"))?;
        // ciphertext by now
        let mut sealed = std::mem::take(&mut *inner);
        sealed.extend_from_slice(&tag);
        Ok(Self { origin, nonce, sealed }.encode())
    }

    pub(super) fn open(&self, key: &[u8; 32], associated_data: &[u8]) -> Answer<SecretBytes> {
        let refused = FakeError::invalid_ciphertext;
        let (body, tag) = self.sealed.split_last_chunk::<TAG>().ok_or_else(refused)?;
        let mut inner = Zeroizing::new(body.to_vec());
        Aes256Gcm::new(key.into())
            .decrypt_inout_detached(
                (&self.nonce).into(),
                associated_data,
                inner.as_mut_slice().into(),
                tag.into(),
            )
            .map_err(|_| refused())?;
        inner.strip_prefix(&INNER).map(SecretBytes::copy_from).ok_or_else(refused)
    }

    pub(super) fn parse(bytes: &[u8]) -> Answer<Self> {
        Self::try_parse(bytes).ok_or_else(FakeError::invalid_ciphertext)
    }

    fn try_parse(bytes: &[u8]) -> Option<Self> {
        let sealed_length = sealed_length(bytes.len())?;
        let (front, sealed) = bytes.split_at_checked(bytes.len().checked_sub(sealed_length)?)?;
        let after_nonce = TAG_LENGTH.len() + tlv_length(sealed_length) - sealed_length;
        let (to_nonce, _) = front.split_at_checked(front.len().checked_sub(after_nonce)?)?;
        let nonce = *to_nonce.last_chunk()?;
        let (locator, rest) = bytes.get(MAGIC.len()..)?.split_first_chunk()?;
        let version = *rest.get(1..)?.first_chunk()?;
        let blob = Self { origin: Origin { locator: *locator, version }, nonce, sealed: sealed.to_vec() };
        (blob.encode() == bytes).then_some(blob)
    }

    fn encode(&self) -> Vec<u8> {
        let parameters = tlv(0x30, &[&tlv(0x04, &[&self.nonce]), &TAG_LENGTH]);
        let algorithm = tlv(0x30, &[&OID_AES256_GCM, &parameters]);
        let content = tlv(0x30, &[&OID_DATA, &algorithm, &tlv(0x80, &[&self.sealed])]);
        let encrypted_data = tlv(0x30, &[&CMS_VERSION, &content]);
        let der = tlv(0x30, &[&OID_ENCRYPTED_DATA, &tlv(0xa0, &[&encrypted_data])]);
        let length = u32::try_from(der.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&MAGIC[..], &self.origin.locator, &[1], &self.origin.version, &length, &der].concat()
    }
}

/// One element of DER: tag, length, content.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let be = content.len().to_be_bytes();
    let significant: Vec<u8> = be.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut out = vec![tag];
    match (significant.as_slice(), u8::try_from(significant.len())) {
        ([], _) => out.push(0),
        (&[short], _) if short < 0x80 => out.push(short),
        (long, count) => {
            out.push(0x80 | count.unwrap_or(0x7f));
            out.extend_from_slice(long);
        }
    }
    out.extend_from_slice(&content);
    out
}

/// How long an element with a content of this length is.
const fn tlv_length(content: usize) -> usize {
    let length = match content {
        0..0x80 => 1,
        0x80..0x100 => 2,
        0x100..0x1_0000 => 3,
        _ => 4,
    };
    1 + length + content
}

const fn blob_length(sealed: usize) -> usize {
    let algorithm = tlv_length(OID_AES256_GCM.len() + tlv_length(tlv_length(NONCE) + TAG_LENGTH.len()));
    let content = tlv_length(OID_DATA.len() + algorithm + tlv_length(sealed));
    let encrypted_data = tlv_length(CMS_VERSION.len() + content);
    HEADER + tlv_length(OID_ENCRYPTED_DATA.len() + tlv_length(encrypted_data))
}

/// The length of ciphertext and tag in a blob of this length: there is one at most.
fn sealed_length(blob: usize) -> Option<usize> {
    let most_overhead = blob_length(0) + 32;
    let shortest = blob.saturating_sub(most_overhead).max(INNER.len() + TAG);
    (shortest..=blob)
        .find(|sealed| blob_length(*sealed) >= blob)
        .filter(|sealed| blob_length(*sealed) == blob)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { locator: [7; LOCATOR], version: [8; VERSION] };

    #[test]
    fn the_blob_of_a_data_key_is_as_long_as_a_real_one() {
        let blob = Blob::seal(&[1; 32], ORIGIN, b"", &[0; 32]).unwrap();
        assert_eq!(blob.len(), 184);
        assert!(blob.starts_with(&MAGIC));
        // the constant parts of any real blob of a 32-byte data key
        assert_eq!(blob[HEADER - 4..HEADER + 6], [0, 0, 0, 0x7e, 0x30, 0x7c, 0x06, 0x09, 0x2a, 0x86]);
        assert_eq!(blob[184 - 59 - 5..184 - 59], [0x02, 0x01, 0x10, 0x80, 0x3b]);
    }

    #[test]
    fn every_length_comes_back() {
        for length in (1..300).chain([1000, 4095, 4096]) {
            let plaintext = vec![9; length];
            let bytes = Blob::seal(&[1; 32], ORIGIN, b"ad", &plaintext).unwrap();
            let blob = Blob::parse(&bytes).unwrap();
            assert!(blob.origin == ORIGIN);
            assert_eq!(blob.open(&[1; 32], b"ad").unwrap().expose(), plaintext);
            assert!(blob.open(&[1; 32], b"da").is_err());
            assert!(blob.open(&[2; 32], b"ad").is_err());
        }
    }

    #[test]
    fn shorter_and_longer_ones_are_refused() {
        let bytes = Blob::seal(&[1; 32], ORIGIN, b"", &[0; 32]).unwrap();
        for length in 0..bytes.len() {
            assert!(Blob::parse(&bytes[..length]).is_err(), "{length}");
        }
        assert!(Blob::parse(&[&bytes[..], &[0]].concat()).is_err());
    }
}

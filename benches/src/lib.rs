//! What the benchmarks compare with: the same crates, nonces, associated data and base64, without
//! any code of pii.
#![forbid(unsafe_code)]

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// AES-256-GCM under a derived key that both sides have cached.
pub struct Bare {
    cipher: Aes256Gcm,
    header: [u8; 30],
    associated_data: Vec<u8>,
}

impl Default for Bare {
    fn default() -> Self {
        Self::new()
    }
}

impl Bare {
    /// With associated data of the length that the benchmarked model has.
    pub fn new() -> Self {
        Self { cipher: Aes256Gcm::new(&[7; 32].into()), header: [2; 30], associated_data: vec![3; 117] }
    }

    /// Seals values of one batch: the second halves of all nonces are drawn in one call.
    pub fn seal(&self, values: &[String]) -> Vec<String> {
        let mut nonces = vec![0; 12 * values.len()];
        getrandom::fill(&mut nonces).expect("random bytes");
        let mut buffer = Vec::new();
        values
            .iter()
            .zip(nonces.chunks_exact(12))
            .map(|(value, nonce)| {
                buffer.clear();
                buffer.extend_from_slice(&self.header);
                buffer.extend_from_slice(nonce);
                buffer.extend_from_slice(value.as_bytes());
                let nonce: &[u8; 12] = nonce.try_into().expect("12 bytes");
                let tag = self
                    .cipher
                    .encrypt_inout_detached(nonce.into(), &self.associated_data, (&mut buffer[42..]).into())
                    .expect("encrypts");
                buffer.extend_from_slice(&tag);
                let mut text = String::with_capacity(4 + buffer.len().div_ceil(3) * 4);
                text.push_str("ENC:");
                STANDARD.encode_string(&buffer, &mut text);
                text
            })
            .collect()
    }

    /// Opens values of one batch.
    pub fn open(&self, texts: &[String]) -> Vec<Box<[u8]>> {
        let mut buffer = Vec::new();
        texts
            .iter()
            .map(|text| {
                buffer.clear();
                STANDARD.decode_vec(&text[4..], &mut buffer).expect("base64");
                let end = buffer.len() - 16;
                let nonce: [u8; 12] = buffer[30..42].try_into().expect("12 bytes");
                let tag: [u8; 16] = buffer[end..].try_into().expect("16 bytes");
                self.cipher
                    .decrypt_inout_detached(
                        (&nonce).into(),
                        &self.associated_data,
                        (&mut buffer[42..end]).into(),
                        (&tag).into(),
                    )
                    .expect("decrypts");
                buffer[42..end].into()
            })
            .collect()
    }
}

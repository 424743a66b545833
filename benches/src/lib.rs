//! What the benchmarks compare with: the same crates, nonces, associated data and base64, without
//! any code of pii.
#![forbid(unsafe_code)]

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::{Zeroize as _, Zeroizing};

/// AES-256-GCM under a derived key that both sides have cached, as a careful user of the crates would
/// write it by hand for one table.
///
/// It does what every correct implementation must: the associated data names row and tenant, so it is
/// built from each row; stored bytes are checked, and opened text is UTF-8 in a block of its own size
/// that is wiped; the buffers through which plaintext passes are wiped. It keeps no account of where
/// values came from, knows one type, one key and one layout, and writes into a list of its own.
pub struct Bare {
    cipher: Aes256Gcm,
    /// version, layout, key id and the first half of the nonce
    header: [u8; HEADER],
    /// for each field the associated data up to the context
    heads: Vec<Vec<u8>>,
}

/// A row with its values: plain, or sealed.
#[derive(Clone)]
pub struct BareRow {
    /// Bound to its values.
    pub id: i64,
    /// Bound to its values.
    pub tenant: String,
    /// In the order of the fields.
    pub values: Vec<String>,
}

const PREFIX: &str = "ENC:";
const HEADER: usize = 30;
const NONCE: usize = 12;
const TAG: usize = 16;

impl Bare {
    /// For a table with these fields.
    pub fn new(fields: &[&str]) -> Self {
        let head = |field: &&str| {
            let mut head = vec![2; 19];
            put(&mut head, "pii/v2/value");
            put(&mut head, "customer");
            head.extend_from_slice(&[0, 1, 1]);
            put(&mut head, field);
            head
        };
        Self {
            cipher: Aes256Gcm::new(&[7; 32].into()),
            header: [2; HEADER],
            heads: fields.iter().map(head).collect(),
        }
    }

    /// Seals rows: the second halves of all nonces are drawn in one call.
    pub fn seal(&self, rows: &[BareRow]) -> Vec<String> {
        let count = rows.len() * self.heads.len();
        let mut nonces = vec![0; NONCE * count];
        getrandom::fill(&mut nonces).expect("random bytes");
        let mut nonces = nonces.chunks_exact(NONCE);
        let (mut bytes, mut tail, mut associated_data) = (Vec::new(), Vec::new(), Vec::new());
        let mut sealed = Vec::with_capacity(count);
        for row in rows {
            write_tail(row, &mut tail);
            for (value, head) in row.values.iter().zip(&self.heads) {
                let nonce: &[u8; NONCE] =
                    nonces.next().and_then(|nonce| nonce.try_into().ok()).expect("a nonce");
                make_room(&mut bytes, HEADER + NONCE + value.len() + TAG);
                bytes.extend_from_slice(&self.header);
                bytes.extend_from_slice(nonce);
                bytes.extend_from_slice(value.as_bytes());
                associated_data.clear();
                associated_data.extend_from_slice(head);
                associated_data.extend_from_slice(&tail);
                let body = &mut bytes[HEADER + NONCE..];
                let tag = self
                    .cipher
                    .encrypt_inout_detached(nonce.into(), &associated_data, body.into())
                    .expect("encrypts");
                bytes.extend_from_slice(&tag);
                let mut text = String::with_capacity(PREFIX.len() + bytes.len().div_ceil(3) * 4);
                text.push_str(PREFIX);
                STANDARD.encode_string(&bytes, &mut text);
                sealed.push(text);
            }
        }
        bytes.zeroize();
        sealed
    }

    /// Opens rows.
    pub fn open(&self, rows: &[BareRow]) -> Vec<Zeroizing<String>> {
        let (mut bytes, mut tail, mut associated_data) = (Vec::new(), Vec::new(), Vec::new());
        let mut opened = Vec::with_capacity(rows.len() * self.heads.len());
        for row in rows {
            write_tail(row, &mut tail);
            for (text, head) in row.values.iter().zip(&self.heads) {
                make_room(&mut bytes, text.len());
                let base64 = text.strip_prefix(PREFIX).expect("a sealed text");
                STANDARD.decode_vec(base64, &mut bytes).expect("base64");
                let (header, rest) = bytes.split_first_chunk_mut::<HEADER>().expect("a header");
                let (nonce, rest) = rest.split_first_chunk_mut::<NONCE>().expect("a nonce");
                let (body, tag) = rest.split_last_chunk_mut::<TAG>().expect("a tag");
                assert_eq!(*header, self.header, "another key");
                associated_data.clear();
                associated_data.extend_from_slice(head);
                associated_data.extend_from_slice(&tail);
                self.cipher
                    .decrypt_inout_detached(
                        (&*nonce).into(),
                        &associated_data,
                        (&mut *body).into(),
                        (&*tag).into(),
                    )
                    .expect("decrypts");
                opened.push(Zeroizing::new(String::from_utf8(body.to_vec()).expect("text")));
            }
        }
        bytes.zeroize();
        opened
    }
}

/// The context and the row's id, which end the associated data.
fn write_tail(row: &BareRow, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(&[0, 2]);
    put(out, "app");
    put(out, "benchmark");
    put(out, "tenant");
    put(out, &row.tenant);
    out.extend_from_slice(&[1, 3]);
    out.extend_from_slice(&i128::from(row.id).to_be_bytes());
}

fn put(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u32::try_from(text.len()).expect("short").to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// Empties the buffer; a block that is too small is wiped before another takes its place.
fn make_room(bytes: &mut Vec<u8>, needed: usize) {
    if bytes.capacity() < needed {
        bytes.zeroize();
        bytes.reserve(needed);
    }
    bytes.clear();
}

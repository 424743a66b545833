//! The two forms of a text that pydynox wrote, byte for byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::PydynoxFormat;
use crate::{
    foreign::cipher::GCM_NONCE_BYTES,
    wire::{FormatError, PREFIX, TAG_BYTES, VERSION as OUR_VERSION, decode_text},
};

/// The version byte of the envelope.
const VERSION: u8 = 0x01;
/// The most that KMS takes to decrypt (API reference, `CiphertextBlob`).
const MAX_BLOB_BYTES: usize = 6144;

/// A decoded text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A wrapped data key, and what was encrypted under it.
    Envelope(Envelope),
    /// What KMS made of the value itself.
    Direct(Vec<u8>),
    /// Has the structure of an envelope, and may be a long value of the direct form all the same: KMS
    /// tells, which knows only one of the two blobs.
    EnvelopeOrDirect(Envelope, Vec<u8>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) blob: Vec<u8>,
    pub(super) nonce: [u8; GCM_NONCE_BYTES],
    pub(super) ciphertext: Vec<u8>,
    pub(super) tag: [u8; TAG_BYTES],
}

impl Form {
    /// Reads a text of this format, strictly: canonical base64, and every byte accounted for.
    pub(super) fn parse(text: &str, format: PydynoxFormat) -> Result<Self, FormatError> {
        let mut buffer = Vec::new();
        let bytes = decode_text(text, &mut buffer)?;
        match (format, bytes) {
            (_, []) => Err(FormatError::Malformed),
            // a value of ours, whatever else is wrong with it
            (_, [OUR_VERSION, ..]) => Err(FormatError::UnknownVersion),
            (PydynoxFormat::Envelope, [VERSION, rest @ ..]) => {
                Envelope::parse(rest).map(Self::Envelope).ok_or(FormatError::Malformed)
            }
            (PydynoxFormat::Envelope, _) => Err(FormatError::UnknownVersion),
            (PydynoxFormat::Direct, bytes) => direct(bytes).map(Self::Direct),
            // no blob of KMS begins 01 00; those that there are begin 01 01 or 01 02
            (PydynoxFormat::Either, [VERSION, rest @ ..]) if rest.first() == Some(&0) => {
                Envelope::parse(rest).map(Self::Envelope).ok_or(FormatError::Malformed)
            }
            (PydynoxFormat::Either, [VERSION, rest @ ..]) => match (Envelope::parse(rest), direct(bytes)) {
                (Some(envelope), Ok(blob)) => Ok(Self::EnvelopeOrDirect(envelope, blob)),
                (Some(envelope), Err(_)) => Ok(Self::Envelope(envelope)),
                (None, direct) => direct.map(Self::Direct),
            },
            (PydynoxFormat::Either, bytes) => direct(bytes).map(Self::Direct),
        }
    }
}

impl Envelope {
    /// Reads what follows the version byte.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (blob, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        let (nonce, rest) = rest.split_first_chunk()?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let is_possible = !blob.is_empty() && blob.len() <= MAX_BLOB_BYTES;
        is_possible.then(|| Self {
            blob: blob.to_vec(),
            nonce: *nonce,
            ciphertext: ciphertext.to_vec(),
            tag: *tag,
        })
    }
}

fn direct(bytes: &[u8]) -> Result<Vec<u8>, FormatError> {
    // a blob holds more than the plaintext: at least a nonce and a tag
    let is_possible = bytes.len() > GCM_NONCE_BYTES + TAG_BYTES && bytes.len() <= MAX_BLOB_BYTES;
    if is_possible { Ok(bytes.to_vec()) } else { Err(FormatError::Malformed) }
}

/// The beginning of an envelope: everything before the ciphertext. `None` for a blob that is too long.
pub(super) fn head(blob: &[u8], nonce: &[u8; GCM_NONCE_BYTES], plaintext_bytes: usize) -> Option<Vec<u8>> {
    if blob.is_empty() || blob.len() > MAX_BLOB_BYTES {
        return None;
    }
    let length = u16::try_from(blob.len()).ok()?;
    // with room for the rest: a block that grows would leave plaintext behind
    let mut out = Vec::with_capacity(1 + 2 + blob.len() + GCM_NONCE_BYTES + plaintext_bytes + TAG_BYTES);
    out.push(VERSION);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(blob);
    out.extend_from_slice(nonce);
    Some(out)
}

/// The text of an envelope.
pub(super) fn text(envelope: &[u8]) -> String {
    let mut out = String::from(PREFIX);
    STANDARD.encode_string(envelope, &mut out);
    out
}

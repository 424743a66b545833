//! The header of a message ("AWS Encryption SDK message format reference", version 2).
//!
//! ```text
//! 02 | algorithm u16 | message id [32] | lp16(context) | u16 n, n x (lp16(provider) lp16(key) lp16(blob))
//!    | content type u8 | frame length u32 | commitment [32] | tag [16]
//! ```

use super::{
    body::Framing,
    context,
    suite::{COMMITMENT_BYTES, MESSAGE_ID_BYTES, Suite},
};
use crate::{
    error::{Error, ErrorKind, Result},
    foreign::key_service::ServiceContext,
    wire::{
        TAG_BYTES,
        encode::{Reader, put_lp16, put_u16},
    },
};

const VERSION: u8 = 0x02;
const NOT_FRAMED: u8 = 0x01;
const FRAMED: u8 = 0x02;
/// The provider of data keys that AWS KMS wrapped.
const PROVIDER: &[u8] = b"aws-kms";

/// What a reader learns before it has any key. Nothing of it is authenticated yet.
pub(super) struct Header<'a> {
    pub(super) suite: Suite,
    pub(super) message_id: &'a [u8; MESSAGE_ID_BYTES],
    pub(super) context: ServiceContext,
    pub(super) data_keys: Vec<EncryptedDataKey<'a>>,
    pub(super) framing: Framing,
    pub(super) commitment: &'a [u8; COMMITMENT_BYTES],
    /// All of it but the tag.
    pub(super) bytes: &'a [u8],
    pub(super) tag: &'a [u8; TAG_BYTES],
}

/// A data key as one key-encryption key wrapped it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct EncryptedDataKey<'a> {
    provider: &'a [u8],
    info: &'a [u8],
    pub(super) blob: &'a [u8],
}

impl<'a> EncryptedDataKey<'a> {
    /// The ARN of the KMS key, if KMS wrapped it.
    pub(super) fn key_arn(&self) -> Option<&'a str> {
        if self.provider == PROVIDER { std::str::from_utf8(self.info).ok() } else { None }
    }
}

impl<'a> Header<'a> {
    /// Reads a header from the front of a message, and gives what follows it.
    pub(super) fn read(message: &'a [u8], most_data_keys: usize) -> Result<(Self, &'a [u8])> {
        let mut reader = Reader(message);
        let (version, id) = (reader.u8(), reader.array());
        let suite = known(version, id)?;
        let front = reader.array_ref().zip(context::read(&mut reader));
        let (message_id, context) = front.ok_or_else(malformed)?;
        let data_keys = read_data_keys(&mut reader, most_data_keys)?;
        let framing = reader.u8().zip(reader.u32()).and_then(|(content, length)| match (content, length) {
            (NOT_FRAMED, 0) => Some(Framing::Whole),
            (FRAMED, 1..) => Some(Framing::Frames(length)),
            _ => None,
        });
        let framing = framing.ok_or_else(malformed)?;
        let commitment = reader.array_ref().ok_or_else(malformed)?;
        let bytes = message.len().checked_sub(reader.0.len()).and_then(|length| message.get(..length));
        let (bytes, tag) = bytes.zip(reader.array_ref()).ok_or_else(malformed)?;
        Ok((Self { suite, message_id, context, data_keys, framing, commitment, bytes, tag }, reader.0))
    }
}

/// The data keys of a message that is written, in the form of the header.
pub(super) fn data_keys<'k>(keys: impl ExactSizeIterator<Item = (&'k str, &'k [u8])>) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    put_u16(&mut out, keys.len());
    for (arn, blob) in keys {
        if blob.is_empty() || blob.len() > usize::from(u16::MAX) {
            return Err(Error::new(ErrorKind::Integrity)
                .key(arn)
                .message("the key service gave a wrapped data key of an impossible length"));
        }
        put_lp16(&mut out, PROVIDER);
        put_lp16(&mut out, arn.as_bytes());
        put_lp16(&mut out, blob);
    }
    Ok(out)
}

/// A header without its tag.
pub(super) fn write(
    suite: Suite,
    message_id: &[u8; MESSAGE_ID_BYTES],
    context: &ServiceContext,
    data_keys: &[u8],
    frame_bytes: u32,
    commitment: &[u8; COMMITMENT_BYTES],
) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&suite.id());
    out.extend_from_slice(message_id);
    context::put(&mut out, context);
    out.extend_from_slice(data_keys);
    out.push(FRAMED);
    out.extend_from_slice(&frame_bytes.to_be_bytes());
    out.extend_from_slice(commitment);
    out
}

pub(super) fn malformed() -> Error {
    Error::new(ErrorKind::Malformed)
        .message("it is no message of the AWS Encryption SDK, or was cut or altered")
}

fn known(version: Option<u8>, id: Option<[u8; 2]>) -> Result<Suite> {
    let (version, id) = version.zip(id).ok_or_else(malformed)?;
    let unknown = |message: String| Error::new(ErrorKind::UnknownVersion).message(message);
    match version {
        VERSION => Suite::of(id).ok_or_else(|| {
            unknown(format!("algorithm 0x{:04x} of the AWS Encryption SDK", u16::from_be_bytes(id)))
                .help("0x0478 and 0x0578 are read, those with key commitment")
        }),
        1 => Err(unknown("message format 1 of the AWS Encryption SDK".to_owned()).help(
            "it has no key commitment: encrypt the data anew with release 2 of the SDK or a later one",
        )),
        _ => Err(malformed()),
    }
}

fn read_data_keys<'a>(reader: &mut Reader<'a>, most: usize) -> Result<Vec<EncryptedDataKey<'a>>> {
    let count = reader.array().map(u16::from_be_bytes).filter(|count| *count > 0).ok_or_else(malformed)?;
    let count = usize::from(count);
    if count > most {
        return Err(Error::new(ErrorKind::Malformed)
            .message(format!("the message has {count} encrypted data keys; at most {most} are accepted"))
            .help("raise `max_encrypted_data_keys` if messages have as many"));
    }
    let mut data_keys = Vec::with_capacity(count);
    for _ in 0..count {
        let (provider, info) = reader.lp16().zip(reader.lp16()).ok_or_else(malformed)?;
        let blob = reader.lp16().ok_or_else(malformed)?;
        data_keys.push(EncryptedDataKey { provider, info, blob });
    }
    Ok(data_keys)
}

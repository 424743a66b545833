//! The body of a message: one block, or numbered frames.
//!
//! ```text
//! block: nonce [12] | length u64 | ciphertext | tag [16]
//! frame: number u32 | nonce [12] | ciphertext [frame length] | tag [16]
//! last:  ff ff ff ff | number u32 | nonce [12] | length u32 | ciphertext | tag [16]
//! ```
//!
//! The associated data of each is the message id, what it is, its number and its length.

use zeroize::Zeroizing;

use super::suite::MESSAGE_ID_BYTES;
use crate::{
    crypto::xaes::{DerivedKey, HALF_NONCE},
    error::{Error, ErrorKind, Result},
    secret::SecretBytes,
    wire::{TAG_BYTES, encode::Reader},
};

/// Frames are numbered from 1; this number announces the last one.
const LAST: u32 = u32::MAX;
/// What a frame, the last one, has besides ciphertext.
const LAST_FRAME_BYTES: usize = 4 + 4 + HALF_NONCE + 4 + TAG_BYTES;
const FRAME_BYTES: usize = 4 + HALF_NONCE + TAG_BYTES;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Whole,
    /// The plaintext bytes of each frame; the last one may have fewer.
    Frames(u32),
}

/// A body all of whose lengths and numbers are right; nothing is authenticated yet.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    framing: Framing,
    bytes: &'a [u8],
    /// The length of the plaintext.
    pub(super) content: usize,
}

impl<'a> Body<'a> {
    /// Reads a body from the front, and gives what follows it.
    pub(super) fn read(bytes: &'a [u8], framing: Framing) -> Option<(Self, &'a [u8])> {
        let mut blocks = Blocks::new(bytes, framing);
        let mut content = 0_usize;
        while let Some(block) = blocks.next()? {
            content = content.checked_add(block.ciphertext.len())?;
        }
        Some((Self { framing, bytes, content }, blocks.reader.0))
    }

    /// The plaintext, if every block is genuine.
    pub(super) fn open(&self, key: &DerivedKey, message_id: &[u8; MESSAGE_ID_BYTES]) -> Result<SecretBytes> {
        let mut plain = Zeroizing::new(Vec::with_capacity(self.content));
        let mut blocks = Blocks::new(self.bytes, self.framing);
        while let Some(block) = blocks.next().ok_or_else(refused)? {
            let start = plain.len();
            plain.extend_from_slice(block.ciphertext);
            let bytes = plain.get_mut(start..).unwrap_or_default();
            let data = associated_data(message_id, block.kind, block.number, block.ciphertext.len());
            key.open(&nonce(block.number), &data, bytes, block.tag).map_err(|_| refused())?;
        }
        Ok(SecretBytes::from_vec(std::mem::take(&mut *plain)))
    }
}

/// The length of the body that [`write`] makes of so much plaintext.
pub(super) fn written_bytes(content: usize, frame_bytes: u32) -> usize {
    let frames = content.saturating_sub(1) / length_of(frame_bytes);
    content.saturating_add(frames.saturating_mul(FRAME_BYTES)).saturating_add(LAST_FRAME_BYTES)
}

/// Appends the frames of a plaintext. `out` has room for them: a block that grows would leave plaintext
/// behind.
pub(super) fn write(
    out: &mut Vec<u8>,
    key: &DerivedKey,
    message_id: &[u8; MESSAGE_ID_BYTES],
    plaintext: &[u8],
    frame_bytes: u32,
) -> Result<()> {
    let mut number = 0_u32;
    let mut rest = plaintext;
    loop {
        number = number.checked_add(1).filter(|number| *number != LAST).ok_or_else(too_long)?;
        let (content, more) = match rest.split_at_checked(length_of(frame_bytes)) {
            Some((content, more)) if !more.is_empty() => (content, Some(more)),
            _ => (rest, None),
        };
        let kind = if more.is_some() { Kind::Frame } else { Kind::Last };
        if kind == Kind::Last {
            out.extend_from_slice(&LAST.to_be_bytes());
        }
        out.extend_from_slice(&number.to_be_bytes());
        out.extend_from_slice(&nonce(number));
        if kind == Kind::Last {
            out.extend_from_slice(&u32::try_from(content.len()).map_err(|_| too_long())?.to_be_bytes());
        }
        let start = out.len();
        out.extend_from_slice(content);
        let data = associated_data(message_id, kind, number, content.len());
        let bytes = out.get_mut(start..).unwrap_or_default();
        let tag = key.seal(&nonce(number), &data, bytes).map_err(|_| too_long())?;
        out.extend_from_slice(&tag);
        match more {
            Some(more) => rest = more,
            None => return Ok(()),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Whole,
    Frame,
    Last,
}

impl Kind {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Whole => b"AWSKMSEncryptionClient Single Block",
            Self::Frame => b"AWSKMSEncryptionClient Frame",
            Self::Last => b"AWSKMSEncryptionClient Final Frame",
        }
    }
}

struct Block<'a> {
    kind: Kind,
    number: u32,
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

struct Blocks<'a> {
    reader: Reader<'a>,
    framing: Framing,
    number: u32,
    is_done: bool,
}

impl<'a> Blocks<'a> {
    fn new(bytes: &'a [u8], framing: Framing) -> Self {
        Self { reader: Reader(bytes), framing, number: 0, is_done: false }
    }

    /// The next block; inside, `None` after the last one. Outside, `None` for a body that is malformed.
    fn next(&mut self) -> Option<Option<Block<'a>>> {
        if self.is_done {
            return Some(None);
        }
        self.number = self.number.checked_add(1).filter(|number| *number != LAST)?;
        let kind = match self.framing {
            Framing::Whole => Kind::Whole,
            Framing::Frames(_) => match self.reader.u32()? {
                LAST => Kind::Last,
                number if number == self.number => Kind::Frame,
                _ => return None,
            },
        };
        if kind == Kind::Last && self.reader.u32()? != self.number {
            return None;
        }
        if *self.reader.array_ref()? != nonce(self.number) {
            return None;
        }
        let length = match (kind, self.framing) {
            (Kind::Whole, _) => usize::try_from(u64::from_be_bytes(self.reader.array()?)).ok()?,
            (Kind::Last, Framing::Frames(most)) => {
                length_of(self.reader.u32().filter(|length| *length <= most)?)
            }
            (_, Framing::Frames(length)) => length_of(length),
            (_, Framing::Whole) => return None,
        };
        let (ciphertext, tag) = (self.reader.bytes(length)?, self.reader.array_ref()?);
        self.is_done = kind != Kind::Frame;
        Some(Some(Block { kind, number: self.number, ciphertext, tag }))
    }
}

/// Each message has a key of its own, so numbers do as nonces.
fn nonce(number: u32) -> [u8; HALF_NONCE] {
    let mut nonce = [0; HALF_NONCE];
    if let Some(end) = nonce.last_chunk_mut() {
        *end = number.to_be_bytes();
    }
    nonce
}

fn associated_data(message_id: &[u8; MESSAGE_ID_BYTES], kind: Kind, number: u32, content: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(MESSAGE_ID_BYTES + kind.name().len() + 4 + 8);
    data.extend_from_slice(message_id);
    data.extend_from_slice(kind.name());
    data.extend_from_slice(&number.to_be_bytes());
    data.extend_from_slice(&u64::try_from(content).unwrap_or(u64::MAX).to_be_bytes());
    data
}

/// Beyond the address space no slice is long enough anyway.
fn length_of(bytes: u32) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn refused() -> Error {
    Error::new(ErrorKind::Integrity)
}

fn too_long() -> Error {
    Error::new(ErrorKind::TooLarge).message("the message would have too many frames")
}

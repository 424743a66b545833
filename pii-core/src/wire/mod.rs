//! Wire format, version 2: see FORMAT.md.
//!
//! `ENC:` and canonical base64 of header, nonce, ciphertext and tag; the associated data says
//! where a value belongs and is never read from the value.

pub(crate) mod associated_data;
mod ciphertext;
pub(crate) mod copies;
pub(crate) mod encode;
pub(crate) mod header;
pub(crate) mod inner;
mod shape;

pub(crate) use associated_data::Envelope;
pub use ciphertext::{Ciphertext, FormatError};
pub(crate) use ciphertext::{
    MAX_PLAINTEXT_BYTES, TextEncoder, decode as decode_text, decode_into as decode_text_into,
};
pub use copies::{Provider, Purpose, WrappedKey};
pub(crate) use header::{FIXED_BYTES, Parts};
pub use header::{KeyId, Layout};

/// What every sealed text begins with.
pub(crate) const PREFIX: &str = "ENC:";
/// The version byte of this format.
pub(crate) const VERSION: u8 = 0x02;
pub(crate) const NONCE_BYTES: usize = 24;
pub(crate) const TAG_BYTES: usize = 16;

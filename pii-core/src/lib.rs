//! Types, wire format, cryptor and keyrings of pii.
#![forbid(unsafe_code)]

mod context;
mod crypto;
mod error;
mod row;
mod secret;
mod wire;

pub use context::{ContextText, ContextValue, ContextWriter, EncryptionContext, IntoContext, context_text};
pub use crypto::DataKey;
pub use error::{Error, ErrorKind, Result};
pub use row::{RowId, RowWriter};
pub use secret::SecretBytes;
pub use wire::{Ciphertext, FormatError, KeyId, Layout, Provider, Purpose, WrappedKey};

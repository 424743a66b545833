//! Values that protect themselves: plain, sealed, opened, or legacy text not yet accepted.

mod cell;
mod encrypted;
mod pii_value;
mod serde_impls;
mod shown;
#[cfg(feature = "sqlx")]
mod sqlx_codecs;

pub(crate) use cell::{Cell, Place};
pub use encrypted::{Encrypted, EncryptedStr, ValueState};
pub(crate) use pii_value::{HasTypeOps, TypeOps, decode_json, wrong_type};
pub use pii_value::{Json, PiiValue};
pub use serde_impls::{Sealed, SealedField};
pub(crate) use shown::{Shown, ShownValues, not_opened};

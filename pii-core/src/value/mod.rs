//! Values that protect themselves: plain, sealed, opened, or legacy text not yet accepted.

mod cell;
#[cfg(feature = "diesel")]
mod diesel_codecs;
mod encrypted;
mod pii_value;
#[cfg(feature = "sea-orm")]
mod sea_orm_codecs;
mod serde_impls;
#[cfg(feature = "sqlx")]
mod sqlx_codecs;

pub(crate) use cell::{Cell, Place};
pub use encrypted::{Encrypted, EncryptedStr, ValueState};
pub(crate) use pii_value::{HasTypeOps, TypeOps, decode_json, wrong_type};
pub use pii_value::{Json, PiiValue};
#[cfg(feature = "sea-orm")]
pub use sea_orm_codecs::ToActiveValue;
pub use serde_impls::{Sealed, SealedField};

//! Values that protect themselves: plain, sealed, opened, or legacy text not yet accepted.

mod cell;
#[cfg(feature = "rust_decimal")]
mod decimal;
#[cfg(feature = "diesel")]
mod diesel_codecs;
#[allow(dead_code, reason = "some types come with features")]
pub(crate) mod encoding;
mod encrypted;
mod enums;
mod padding;
mod pii_value;
mod scalars;
#[cfg(feature = "sea-orm")]
mod sea_orm_codecs;
mod serde_impls;
mod shown;
#[cfg(feature = "sqlx")]
mod sqlx_codecs;
#[cfg(any(feature = "chrono", feature = "time", feature = "jiff"))]
mod times;

pub(crate) use cell::{Cell, Place};
pub(crate) use encrypted::not_opened;
pub use encrypted::{Encrypted, EncryptedStr, ValueState};
pub use enums::{PiiEnum, enum_bucket, enum_bytes, enum_from_plaintext, enum_value, is_enum};
pub(crate) use padding::{longest_within, padded, padded_length, unpadded};
pub(crate) use pii_value::does_not_fit;
pub(crate) use pii_value::{HasTypeOps, TypeOps, decode_json, wrong_type};
pub use pii_value::{Json, PiiValue};
pub use scalars::{IntoPii, PiiScalar};
#[cfg(feature = "sea-orm")]
pub use sea_orm_codecs::ToActiveValue;
pub use serde_impls::{Sealed, SealedField};
pub(crate) use shown::{Shown, ShownValues, not_shown};

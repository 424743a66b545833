//! Personal data encrypted in the database, field by field.
#![forbid(unsafe_code)]

pub use pii_core::*;
#[cfg(feature = "derive")]
pub use pii_derive::{ContextValue, PiiModel, RowId};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use pii_sqlx::*;

/// What generated code uses; no part of the public interface.
#[doc(hidden)]
pub mod __private {
    pub use pii_core::__private::*;
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub use pii_sqlx::__private::*;

    pub use crate::__pii_if_sqlx as if_sqlx;
}

/// Keeps generated sqlx code only where a SQL feature is on: a derive can't see features.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_sqlx {
    ($($code:tt)*) => { $($code)* };
}

/// Keeps generated sqlx code only where a SQL feature is on: a derive can't see features.
#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __pii_if_sqlx {
    ($($code:tt)*) => {};
}

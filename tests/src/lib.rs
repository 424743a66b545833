//! The test suite of the workspace; everything is in `tests/`.

/// The examples of the guides compile.
#[cfg(doctest)]
pub mod guides {
    #[doc = include_str!("../../docs/sql.md")]
    pub struct Sql;
}

//! The recipes for other ORMs: the page itself here, and on databases in `tests/`.

/// The examples of the page run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/other-orms.md")]
pub struct OtherOrms;

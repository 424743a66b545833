//! The recipes for other ORMs: the page itself here, and on databases in `tests/`.

/// The examples of the page run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/other-orms.md")]
pub struct OtherOrms;

/// What the recipe for toasty keeps out, by the type of the column. Without the last line it compiles.
///
/// ```compile_fail,E0277
/// mod rows {
///     #[derive(Clone, Debug, toasty::Embed)]
///     pub struct Sealed(String);
///
///     #[derive(Debug, toasty::Model)]
///     pub struct CustomerRow {
///         #[key]
///         pub id: i64,
///         pub email: Sealed,
///     }
/// }
///
/// let create = rows::CustomerRow::create().id(1);
/// create.email("ada@example.com");
/// ```
///
/// ```
/// mod rows {
///     #[derive(Clone, Debug, toasty::Embed)]
///     pub struct Sealed(String);
///
///     #[derive(Debug, toasty::Model)]
///     pub struct CustomerRow {
///         #[key]
///         pub id: i64,
///         pub email: Sealed,
///     }
/// }
///
/// let create = rows::CustomerRow::create().id(1);
/// ```
#[cfg(doctest)]
pub struct Toasty;

//! Pieces for statements that users write themselves.

mod columns;
mod sealed_rows;

pub use columns::Columns;
pub use sealed_rows::SealedRows;

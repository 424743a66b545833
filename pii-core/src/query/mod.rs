//! Conditions on the rows of a model, by its plain fields: no database is known here.

mod column;
mod filter;

pub use column::{Comparable, PlainColumn, SealedColumn};
pub use filter::{Comparison, Condition, Filter, Operand};

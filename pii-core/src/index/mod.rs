//! Blind indexes: finding rows by sealed values without opening them.
//!
//! Beside a sealed column stands one with a code of the value: HMAC-SHA-256 under a key that only the
//! program has. Equal values have equal codes, so a database can look them up, and says nothing else about
//! the values to who has no key. FORMAT.md says how codes are computed, `docs/blind-indexes.md` what they
//! reveal and how many bits to keep.

mod code;
mod duplicates;
mod fill_report;
mod normalizer;
mod plan;
mod search;
mod spec;

pub(crate) use code::{
    INPUT_BEGINS, VALUE_BEGINS, input_begins, input_goes_on, input_of, text_of, write_info,
};
pub use duplicates::{DuplicateSearch, IndexDuplicates, SameValue};
pub use fill_report::IndexFillReport;
pub use normalizer::Normalizer;
pub(crate) use normalizer::{normalize, with_normalized};
pub use plan::{IndexPlan, plan};
pub use search::{IndexSearch, IndexTermOf, IndexedField, IndexedValue};
pub use spec::{IndexPart, IndexScope, IndexSize, IndexSpec, IndexVersion};

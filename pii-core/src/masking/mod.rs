//! Masking of any JSON document: no keys, and no way back.

mod builder;
mod field_mask;
mod masker;
mod model;
mod plan;
#[cfg(feature = "regex")]
mod regex;
mod report;
mod rule;

pub use builder::MaskerBuilder;
pub use field_mask::FieldMask;
pub use masker::Masker;
#[cfg(feature = "regex")]
pub use regex::Unmatched;
pub use report::{MaskReport, RuleReport};
pub use rule::MissingPath;

//! One rule: where, and what to show there.

use std::{fmt, sync::Arc};

use super::FieldMask;
use crate::json::JsonPath;

/// What a path that leads to nothing in a document means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MissingPath {
    /// It is an error, and nothing is masked: the rule may be mistyped, and personal data stand elsewhere.
    #[default]
    Error,
    /// A warning is logged with `tracing`, and the report says so.
    Warn,
    /// The report says so.
    Ignore,
}

#[derive(Clone)]
pub(super) struct Rule {
    pub(super) path: JsonPath,
    /// as reports show it
    pub(super) shown_path: Arc<str>,
    pub(super) mask: FieldMask,
    pub(super) origin: Origin,
}

/// Where a rule comes from, which decides how values that are no text are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program gave path and mask.
    Path,
    /// A field of a model with single values: only text is shown in part, as the derived `Debug` does.
    Field,
    /// A field of a model with a list or map of values.
    Values,
}

impl Rule {
    pub(super) fn new(path: JsonPath, mask: FieldMask, origin: Origin) -> Self {
        let shown_path = path.as_str().into();
        Self { path, shown_path, mask, origin }
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.path, self.mask)
    }
}

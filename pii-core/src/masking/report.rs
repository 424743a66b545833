//! What a masker did.

use std::sync::Arc;

/// What was masked in a document, rule by rule. It holds no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MaskReport {
    pub(super) rules: Vec<RuleReport>,
}

/// What one rule did to a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleReport {
    pub(super) path: Arc<str>,
    pub(super) masked: usize,
    pub(super) covered: usize,
    pub(super) missing: bool,
}

impl MaskReport {
    /// The rules, in the order in which they were given.
    #[must_use]
    pub fn rules(&self) -> &[RuleReport] {
        &self.rules
    }

    /// How many values were replaced.
    #[must_use]
    pub fn masked(&self) -> usize {
        self.rules.iter().map(RuleReport::masked).sum()
    }

    /// The paths that led to nothing.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().filter(|rule| rule.missing).map(RuleReport::path)
    }
}

impl RuleReport {
    /// The path, as it was given. That of a model's field leads from the root: `$['email']`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// How many values the rule replaced. Each element of a list counts, an object counts once.
    #[must_use]
    pub fn masked(&self) -> usize {
        self.masked
    }

    /// How many values the rule led to that are masked with what holds them, or that the rule itself or an
    /// earlier one had led to already.
    #[must_use]
    pub fn covered(&self) -> usize {
        self.covered
    }

    /// Whether the path led to nothing.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.missing
    }
}

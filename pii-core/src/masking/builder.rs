//! Building a masker from rules.

use super::{
    FieldMask, Masker, MissingPath, model,
    rule::{Origin, Rule},
};
use crate::{
    error::Result,
    json::JsonPath,
    model::{FieldSpec, PiiModel},
};

/// Collects the rules of a [`Masker`].
#[derive(Debug, Default)]
#[must_use = "a builder does nothing before `build`"]
pub struct MaskerBuilder {
    rules: Vec<Rule>,
    missing: MissingPath,
}

impl MaskerBuilder {
    /// Masks what a path leads to. [`JsonPath`] says what paths can be.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`](crate::ErrorKind::InvalidPath).
    pub fn rule(mut self, path: &str, mask: impl Into<FieldMask>) -> Result<Self> {
        self.rules.push(Rule::new(JsonPath::parse(path)?, mask.into(), Origin::Path));
        Ok(self)
    }

    /// Masks what a path leads to in full.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`](crate::ErrorKind::InvalidPath).
    pub fn path(self, path: &str) -> Result<Self> {
        self.rule(path, FieldMask::full())
    }

    /// Masks the personal fields of a model at the root of the document: see [`Masker::of`].
    ///
    /// # Errors
    /// As [`Masker::of`].
    pub fn model<M: PiiModel>(self) -> Result<Self> {
        self.model_at::<M>("$")
    }

    /// Masks the personal fields of the models that a path leads to, such as `$[*]` for a list of them.
    ///
    /// # Errors
    /// As [`Masker::of`].
    pub fn model_at<M: PiiModel>(self, path: &str) -> Result<Self> {
        self.model_with::<M>(path, |field| field.attribute().to_owned())
    }

    /// As [`model_at`](Self::model_at), with keys that you name: for JSON in which fields are called otherwise
    /// than serde calls them.
    ///
    /// # Errors
    /// As [`Masker::of`].
    pub fn model_with<M: PiiModel>(mut self, path: &str, key: impl Fn(&FieldSpec) -> String) -> Result<Self> {
        self.rules.extend(model::rules::<M>(path, &key)?);
        Ok(self)
    }

    /// What to do if a path leads to nothing; if this is not called, that is an error.
    pub fn missing(mut self, missing: MissingPath) -> Self {
        self.missing = missing;
        self
    }

    /// The masker. Without any rule it masks whole documents, as [`Masker::everything`].
    #[must_use]
    pub fn build(self) -> Masker {
        let rules = if self.rules.is_empty() { Masker::everything().rules } else { self.rules };
        Masker { rules, missing: self.missing }
    }
}

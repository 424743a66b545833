//! Whether a model can have the policies that are set for it.

use super::{Entry, LegacyPolicy, ModelPolicies, entry::Entries};
use crate::{
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, Level, ModelSpec, PlaintextPolicy, sealed_field, sealed_fields},
};

impl ModelPolicies {
    /// Holds what is set against the model. A view may lack fields that its model has.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub(crate) fn check(&self, model: &ModelSpec) -> Result<()> {
        for (path, own) in &self.fields {
            match sealed_field(model.fields(), path) {
                Some(field) => check_own(field, own).map_err(|error| error.field(model.name(), path))?,
                None if model.is_view() => {}
                None => return Err(no_field(model, path)),
            }
        }
        if self.all.plaintext.is_none() && self.all.legacy.is_none() {
            return Ok(());
        }
        let mut result = Ok(());
        sealed_fields(model.fields(), &mut |path, field| {
            if result.is_ok() {
                let set = self.find(|other| other == path);
                result = check_both(field, &set).map_err(|error| error.field(model.name(), path));
            }
        });
        result
    }
}

/// What is set for this very field.
fn check_own(field: &FieldSpec, own: &Entries) -> Result<()> {
    let is_lax = |entry: &Entry<PlaintextPolicy>| entry.policy != PlaintextPolicy::Reject;
    if field.level() == Level::Three && own.plaintext.as_ref().is_some_and(is_lax) {
        return Err(wrong("plaintext is never accepted at level 3"));
    }
    if own.legacy.is_some() && field.legacy().is_none() {
        return Err(wrong("the field has no form of another system")
            .help("write `#[pii(legacy = \"...\")]` on it, or leave the policy out"));
    }
    check_both(field, own)
}

/// What holds for a field, wherever it is set.
fn check_both(field: &FieldSpec, set: &Entries) -> Result<()> {
    if field.level() == Level::Three {
        return Ok(());
    }
    let policy = set.plaintext.map_or(field.plaintext(), |entry| entry.policy);
    if policy != PlaintextPolicy::Prepare {
        return Ok(());
    }
    if !field.mode().can_open() {
        return Err(wrong(
            "the policy `prepare` stores plaintext, and fields in WriteOnly mode are never readable",
        )
        .help("use `accept_and_seal` for this field"));
    }
    let is_written =
        |entry: Option<Entry<LegacyPolicy>>| entry.is_none_or(|entry| entry.policy != LegacyPolicy::Reject);
    if field.legacy().is_some() && is_written(set.legacy) {
        return Err(wrong(
            "the policy `prepare` stores new values as plaintext, and `legacy` in the form of another system",
        )
        .help("use `accept_and_seal` for this field"));
    }
    Ok(())
}

fn wrong(message: &str) -> Error {
    Error::new(ErrorKind::Configuration).message(message)
}

fn no_field(model: &ModelSpec, path: &str) -> Error {
    wrong("a policy is set for a field that does not exist, or is not sealed")
        .field(model.name(), path)
        .help("use the field's stable name, as `pii_fields()` lists it")
}

pub(super) fn no_model(name: &str) -> Error {
    wrong("a policy is set for a model that does not exist")
        .model(name)
        .help("use the model's stable name, `#[pii(name = \"...\")]`")
}

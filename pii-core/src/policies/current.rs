//! What holds at one moment.

use std::{sync::Arc, time::SystemTime};

use super::{LegacyPolicy, ModelPolicies};
use crate::model::{FieldSpec, Level, PlaintextPolicy};

/// The policies of one model as they were when they were asked for: a batch or a request is not cut in two
/// by a switch. [`FieldPolicies::current`](crate::FieldPolicies::current) and
/// [`Cryptor::current_policies`](crate::Cryptor::current_policies) give them; without those, it is what the
/// derive says.
///
/// ```
/// # use pii_core as pii;
/// # use pii::{CurrentPolicies, FieldPolicies, PiiModel, PlaintextPolicy};
/// # fn show<Customer: PiiModel>(policies: &FieldPolicies) -> pii::Result<()> {
/// let now: CurrentPolicies = policies.current(Customer::MODEL)?;
/// for field in Customer::MODEL.fields().iter().filter(|field| field.is_sealed()) {
///     let is_prepared = now.plaintext(field, field.name()) == PlaintextPolicy::Prepare;
///     println!("{} is {}", field.name(), if is_prepared { "plaintext still" } else { "sealed" });
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct CurrentPolicies(Option<(Arc<ModelPolicies>, SystemTime)>);

impl CurrentPolicies {
    pub(super) fn of(set: Option<Arc<ModelPolicies>>) -> Self {
        Self(set.map(|set| (set, SystemTime::now())))
    }

    /// What happens to stored plaintext of a field at this path: stable names from the model to it, joined
    /// by dots.
    #[must_use]
    pub fn plaintext(&self, field: &FieldSpec, path: &str) -> PlaintextPolicy {
        self.plaintext_of(field, |other| other == path)
    }

    /// What happens to values in the form of another system; `None` for a field that has only our form.
    #[must_use]
    pub fn legacy(&self, field: &FieldSpec, path: &str) -> Option<LegacyPolicy> {
        self.legacy_of(field, |other| other == path)
    }

    /// As [`CurrentPolicies::plaintext`], for a field whose path `is_it` knows.
    #[inline]
    pub(crate) fn plaintext_of(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> PlaintextPolicy {
        let Some((set, now)) = self.0.as_ref().filter(|_| field.level() != Level::Three) else {
            return field.plaintext();
        };
        match set.find(is_it).plaintext {
            Some(entry) => entry.at(*now).unwrap_or(PlaintextPolicy::Reject),
            None => field.plaintext(),
        }
    }

    /// As [`CurrentPolicies::legacy`], for a field whose path `is_it` knows.
    #[inline]
    pub(crate) fn legacy_of(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> Option<LegacyPolicy> {
        field.legacy()?;
        let set = self.0.as_ref().and_then(|(set, now)| {
            set.find(is_it).legacy.map(|entry| entry.at(*now).unwrap_or(LegacyPolicy::Reject))
        });
        Some(set.unwrap_or_default())
    }
}

//! What is set for one model.

use std::{collections::BTreeMap, fmt, time::SystemTime};

use super::LegacyPolicy;
use crate::model::PlaintextPolicy;

/// A policy, and when it ends.
#[derive(Clone, Copy)]
pub(crate) struct Entry<P> {
    pub(super) policy: P,
    until: Option<SystemTime>,
}

impl<P> Entry<P> {
    pub(super) fn new(policy: P) -> Self {
        Self { policy, until: None }
    }

    pub(super) fn until(policy: P, until: SystemTime) -> Self {
        Self { policy, until: Some(until) }
    }

    /// What holds at this moment: `None` once it has ended.
    pub(crate) fn at(self, now: SystemTime) -> Option<P> {
        match self.until {
            Some(until) if now >= until => None,
            _ => Some(self.policy),
        }
    }
}

impl<P: fmt::Debug> fmt::Debug for Entry<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.until {
            Some(until) => write!(f, "{:?} until {}", self.policy, humantime::format_rfc3339_seconds(until)),
            None => self.policy.fmt(f),
        }
    }
}

/// What is set for one field, or for all that nothing else is set for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Entries {
    pub(crate) plaintext: Option<Entry<PlaintextPolicy>>,
    pub(crate) legacy: Option<Entry<LegacyPolicy>>,
}

/// What is set for one model.
#[derive(Debug, Clone, Default)]
pub(crate) struct ModelPolicies {
    pub(super) all: Entries,
    pub(super) fields: BTreeMap<String, Entries>,
}

impl ModelPolicies {
    pub(super) fn field(&mut self, path: &str) -> &mut Entries {
        self.fields.entry(path.to_owned()).or_default()
    }

    /// What is set for the field at a path that `is_it` knows, or else for the model.
    pub(crate) fn find(&self, is_it: impl Fn(&str) -> bool) -> Entries {
        let own = self.fields.iter().find(|(path, _)| is_it(path)).map(|(_, own)| *own).unwrap_or_default();
        Entries { plaintext: own.plaintext.or(self.all.plaintext), legacy: own.legacy.or(self.all.legacy) }
    }
}

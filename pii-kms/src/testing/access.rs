//! Who may do what: rules of a role, asked before every operation.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use super::{
    error::{Answer, ErrorCode, FakeError},
    operation::Operation,
    policy::{Decision, Policy},
};

/// What a rule may look at.
#[derive(Clone, Copy)]
pub struct AccessRequest<'a> {
    pub(super) role: &'a str,
    pub(super) operation: Operation,
    pub(super) action: &'static str,
    pub(super) resource: &'a str,
    pub(super) context: &'a BTreeMap<String, String>,
}

impl<'a> AccessRequest<'a> {
    /// The name of the role that calls.
    #[must_use]
    pub fn role(&self) -> &'a str {
        self.role
    }

    /// What is called.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The permission by its name in IAM, such as `kms:Decrypt`. `ReEncrypt` needs two, and each is
    /// asked with the key and the context of its own side.
    #[must_use]
    pub fn action(&self) -> &'static str {
        self.action
    }

    /// The ARN of the key or secret; `*` where an operation has none.
    #[must_use]
    pub fn resource(&self) -> &'a str {
        self.resource
    }

    /// The value of a name in the encryption context.
    #[must_use]
    pub fn context(&self, name: &str) -> Option<&'a str> {
        self.context.get(name).map(String::as_str)
    }

    /// The names in the encryption context.
    pub fn context_names(&self) -> impl Iterator<Item = &'a str> {
        self.context.keys().map(String::as_str)
    }
}

/// Shows the names in the context, never their values.
impl fmt::Debug for AccessRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.context_names().collect();
        write!(f, "AccessRequest({}, {}, {names:?})", self.action, self.resource)
    }
}

type Predicate = Arc<dyn Fn(&AccessRequest<'_>) -> bool + Send + Sync>;

/// A denial wins over everything; beyond that, each kind of permission that was set must agree.
#[derive(Clone, Default)]
pub(super) struct Rules {
    denials: Vec<(Operation, Predicate)>,
    allowed: Option<BTreeSet<Operation>>,
    policy: Option<Policy>,
}

impl Rules {
    pub(super) fn deny(&mut self, operation: Operation, predicate: Predicate) {
        self.denials.push((operation, predicate));
    }

    pub(super) fn allow_only(&mut self, operations: BTreeSet<Operation>) {
        self.allowed = Some(operations);
    }

    /// Another policy adds its statements to those that are there.
    pub(super) fn add_policy(&mut self, policy: Policy) {
        match &mut self.policy {
            Some(existing) => existing.extend(policy),
            none => *none = Some(policy),
        }
    }

    pub(super) fn check(&self, request: &AccessRequest<'_>) -> Answer<()> {
        let denied = self
            .denials
            .iter()
            .any(|(operation, predicate)| *operation == request.operation && predicate(request));
        let listed = self.allowed.as_ref().is_none_or(|allowed| allowed.contains(&request.operation));
        let decision = self.policy.as_ref().map_or(Decision::Allow, |policy| policy.decide(request));
        let reason = match decision {
            _ if denied => "with an explicit deny in an identity-based policy",
            Decision::Deny => "with an explicit deny in an identity-based policy",
            Decision::Allow if listed => return Ok(()),
            Decision::Allow | Decision::NoStatement => "because no identity-based policy allows the action",
        };
        Err(FakeError::new(
            ErrorCode::AccessDenied,
            format!(
                "Role {} is not authorized to perform: {} on resource: {} {reason}",
                request.role, request.action, request.resource
            ),
        ))
    }
}

//! IAM policies: the part of their language that policies for KMS need.
//!
//! | element | what is understood |
//! |---|---|
//! | `Version` | `2012-10-17`, which must be there |
//! | `Id`, `Sid` | any text |
//! | `Statement` | one, or a list |
//! | `Effect` | `Allow`, `Deny` |
//! | `Action` | one or a list; `*` and `?`; case does not matter; an action of KMS or Secrets Manager that exists |
//! | `Resource` | one or a list; `*`, or an ARN with `*` and `?` |
//! | `Condition` | see below |
//!
//! | condition operator | on | holds if |
//! |---|---|---|
//! | `StringEquals` | `kms:EncryptionContext:NAME` | the pair is there with one of the values |
//! | `StringNotEquals` | `kms:EncryptionContext:NAME` | the pair is not there, or has none of the values |
//! | `StringLike` | `kms:EncryptionContext:NAME` | the pair is there and matches one of the patterns |
//! | `Null` | either key | `true`: it is not there; `false`: it is there |
//! | `ForAllValues:StringEquals` | `kms:EncryptionContextKeys` | every name is one of the values; also if there is none |
//! | `ForAnyValue:StringEquals` | `kms:EncryptionContextKeys` | at least one name is one of the values |
//!
//! All operators and keys of a condition must hold. `NAME` is compared exactly here, while AWS
//! compares it without regard to case: write it as the program does. Everything else is an error,
//! and so is a policy variable (`${...}`): the fake does not guess.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use super::{access::AccessRequest, operation::Operation};

/// Why a policy was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyError(String);

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the policy is not understood: {}", self.0)
    }
}

impl std::error::Error for PolicyError {}

type Parsed<T> = Result<T, PolicyError>;

fn error<T>(message: impl Into<String>) -> Parsed<T> {
    Err(PolicyError(message.into()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Allow,
    Deny,
    /// Nothing allows it, which is a refusal too.
    NoStatement,
}

#[derive(Clone)]
pub(super) struct Policy {
    statements: Vec<Statement>,
}

impl Policy {
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let value: Value = serde_json::from_str(text).or_else(|cause| error(format!("no JSON: {cause}")))?;
        let policy = object(&value, "the policy")?;
        known_elements(policy, &["Version", "Id", "Statement"])?;
        if policy.get("Version").and_then(Value::as_str) != Some("2012-10-17") {
            return error("`Version` must be \"2012-10-17\"");
        }
        let statements = match policy.get("Statement") {
            Some(Value::Array(list)) if !list.is_empty() => list.iter().map(Statement::parse).collect(),
            Some(one @ Value::Object(_)) => Statement::parse(one).map(|statement| vec![statement]),
            _ => error("`Statement` must be a statement or a list of them"),
        };
        Ok(Self { statements: statements? })
    }

    pub(super) fn extend(&mut self, other: Self) {
        self.statements.extend(other.statements);
    }

    pub(super) fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let mut decision = Decision::NoStatement;
        for statement in self.statements.iter().filter(|statement| statement.applies(request)) {
            if statement.denies {
                return Decision::Deny;
            }
            decision = Decision::Allow;
        }
        decision
    }
}

#[derive(Clone)]
struct Statement {
    denies: bool,
    actions: Vec<String>,
    resources: Vec<String>,
    conditions: Vec<Condition>,
}

impl Statement {
    fn parse(value: &Value) -> Parsed<Self> {
        let statement = object(value, "a statement")?;
        known_elements(statement, &["Sid", "Effect", "Action", "Resource", "Condition"])?;
        let denies = match statement.get("Effect").and_then(Value::as_str) {
            Some("Allow") => false,
            Some("Deny") => true,
            _ => return error("`Effect` must be \"Allow\" or \"Deny\""),
        };
        let actions = texts(statement.get("Action"), "Action")?;
        if let Some(unknown) = actions.iter().find(|action| !names_an_action(action)) {
            return error(format!("there is no action `{unknown}`"));
        }
        let resources = texts(statement.get("Resource"), "Resource")?;
        if let Some(other) = resources.iter().find(|arn| *arn != "*" && arn.split(':').count() < 6) {
            return error(format!("`{other}` is no ARN"));
        }
        let conditions = match statement.get("Condition") {
            Some(conditions) => Condition::parse_all(object(conditions, "`Condition`")?)?,
            None => Vec::new(),
        };
        Ok(Self { denies, actions, resources, conditions })
    }

    fn applies(&self, request: &AccessRequest<'_>) -> bool {
        self.actions.iter().any(|action| matches_action(action, request.action))
            && self.resources.iter().any(|resource| matches(resource, request.resource))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Test {
    Equals,
    NotEquals,
    Like,
    Null,
    ForAll,
    ForAny,
}

#[derive(Clone)]
struct Condition {
    test: Test,
    /// A name in the encryption context, or `None` for all its names.
    name: Option<String>,
    values: Vec<String>,
}

impl Condition {
    fn parse_all(operators: &Map<String, Value>) -> Parsed<Vec<Self>> {
        let mut conditions = Vec::new();
        for (operator, keys) in operators {
            let test = match operator.as_str() {
                "StringEquals" => Test::Equals,
                "StringNotEquals" => Test::NotEquals,
                "StringLike" => Test::Like,
                "Null" => Test::Null,
                "ForAllValues:StringEquals" => Test::ForAll,
                "ForAnyValue:StringEquals" => Test::ForAny,
                other => return error(format!("condition operator `{other}`")),
            };
            let keys = object(keys, operator)?;
            if keys.is_empty() {
                return error(format!("`{operator}` has no key"));
            }
            for (key, values) in keys {
                conditions.push(Self::parse(test, key, values)?);
            }
        }
        Ok(conditions)
    }

    fn parse(test: Test, key: &str, values: &Value) -> Parsed<Self> {
        let name = match key.strip_prefix("kms:EncryptionContext:") {
            Some("") => return error(format!("condition key `{key}`")),
            Some(name) => Some(name.to_owned()),
            None if key == "kms:EncryptionContextKeys" => None,
            None => return error(format!("condition key `{key}`")),
        };
        let about_names = matches!(test, Test::ForAll | Test::ForAny);
        if test != Test::Null && about_names != name.is_none() {
            return error(format!("this operator is not for `{key}`"));
        }
        let values = match values {
            Value::Bool(flag) if test == Test::Null => vec![flag.to_string()],
            values => texts(Some(values), key)?,
        };
        let is_flag = values.len() == 1 && values.iter().all(|value| value == "true" || value == "false");
        if test == Test::Null && !is_flag {
            return error("`Null` takes \"true\" or \"false\"");
        }
        Ok(Self { test, name, values })
    }

    fn holds(&self, context: &BTreeMap<String, String>) -> bool {
        let value = self.name.as_ref().and_then(|name| context.get(name));
        let is_listed = |text: &String| self.values.contains(text);
        match self.test {
            Test::Equals => value.is_some_and(is_listed),
            Test::NotEquals => !value.is_some_and(is_listed),
            Test::Like => {
                value.is_some_and(|value| self.values.iter().any(|pattern| matches(pattern, value)))
            }
            Test::ForAll => context.keys().all(is_listed),
            Test::ForAny => context.keys().any(is_listed),
            Test::Null => {
                let is_there = if self.name.is_some() { value.is_some() } else { !context.is_empty() };
                self.values.iter().any(|expected| (expected == "false") == is_there)
            }
        }
    }
}

fn object<'a>(value: &'a Value, what: &str) -> Parsed<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| PolicyError(format!("{what} must be an object")))
}

fn known_elements(object: &Map<String, Value>, known: &[&str]) -> Parsed<()> {
    match object.keys().find(|element| !known.contains(&element.as_str())) {
        Some(element) => error(format!("element `{element}`")),
        None => Ok(()),
    }
}

/// A text or a list of texts, without policy variables.
fn texts(value: Option<&Value>, element: &str) -> Parsed<Vec<String>> {
    let expected = || PolicyError(format!("`{element}` must be a text or a list of texts"));
    let texts: Option<Vec<String>> = match value {
        Some(Value::String(one)) => Some(vec![one.clone()]),
        Some(Value::Array(list)) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    let texts = texts.filter(|texts| !texts.is_empty()).ok_or_else(expected)?;
    if texts.iter().any(|text| text.contains("${")) {
        return error(format!("`{element}` has a policy variable"));
    }
    Ok(texts)
}

/// Those that exist beside the ones that the fake performs, as far as policies of applications and
/// of key administrators name them.
const OTHER_ACTIONS: &[&str] = &[
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:CreateGrant",
    "kms:CreateKey",
    "kms:DeleteAlias",
    "kms:DisableKey",
    "kms:DisableKeyRotation",
    "kms:EnableKey",
    "kms:EnableKeyRotation",
    "kms:GenerateMac",
    "kms:GenerateRandom",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:GetPublicKey",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListKeyRotations",
    "kms:ListKeys",
    "kms:ListResourceTags",
    "kms:ListRetirableGrants",
    "kms:PutKeyPolicy",
    "kms:ReplicateKey",
    "kms:RetireGrant",
    "kms:RevokeGrant",
    "kms:RotateKeyOnDemand",
    "kms:ScheduleKeyDeletion",
    "kms:Sign",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
    "kms:UpdatePrimaryRegion",
    "kms:Verify",
    "kms:VerifyMac",
    "secretsmanager:CreateSecret",
    "secretsmanager:DescribeSecret",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
];

/// A misspelt action would silently allow or deny nothing.
fn names_an_action(pattern: &str) -> bool {
    let performed = Operation::ALL.iter().flat_map(|operation| operation.actions());
    performed.chain(OTHER_ACTIONS).any(|action| matches_action(pattern, action))
}

fn matches_action(pattern: &str, action: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &action.to_ascii_lowercase())
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    // after each character of the pattern: which lengths of the text's beginning it can stand for
    let mut reached = vec![false; text.len() + 1];
    if let Some(start) = reached.first_mut() {
        *start = true;
    }
    for wanted in pattern.chars() {
        let mut next = vec![false; reached.len()];
        if wanted == '*' {
            let mut any = false;
            for (next, reached) in next.iter_mut().zip(&reached) {
                any |= *reached;
                *next = any;
            }
        } else {
            for ((next, reached), character) in next.iter_mut().skip(1).zip(&reached).zip(&text) {
                *next = *reached && (wanted == '?' || wanted == *character);
            }
        }
        reached = next;
    }
    reached.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;

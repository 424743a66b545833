//! Secrets of Secrets Manager: names, versions, stages.

use std::{collections::BTreeMap, time::SystemTime};

use zeroize::Zeroizing;

use super::{
    error::{Answer, ErrorCode, FakeError},
    random::{random, random_uuid},
};

pub(super) const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

#[derive(Clone)]
pub(super) struct SecretVersion {
    pub(super) id: String,
    pub(super) text: Zeroizing<String>,
    pub(super) stages: Vec<String>,
    pub(super) created: SystemTime,
}

#[derive(Clone)]
pub(super) struct Secret {
    pub(super) name: String,
    pub(super) arn: String,
    versions: Vec<SecretVersion>,
}

impl Secret {
    /// The version of this id or this stage; both must agree if both are given.
    pub(super) fn version(&self, id: Option<&str>, stage: Option<&str>) -> Answer<&SecretVersion> {
        let stage = stage.or_else(|| id.is_none().then_some(CURRENT));
        self.versions
            .iter()
            .find(|version| {
                id.is_none_or(|id| version.id == id)
                    && stage.is_none_or(|stage| version.stages.iter().any(|known| known == stage))
            })
            .ok_or_else(|| {
                let label = stage.map_or_else(String::new, |stage| format!(" for staging label: {stage}"));
                FakeError::new(
                    ErrorCode::ResourceNotFound,
                    format!("Secrets Manager can't find the specified secret value{label}"),
                )
            })
    }
}

pub(super) struct Secrets {
    prefix: String,
    by_name: BTreeMap<String, Secret>,
}

impl Secrets {
    pub(super) fn new(region: &str, account: &str) -> Self {
        Self {
            prefix: format!("arn:aws:secretsmanager:{region}:{account}:secret:"),
            by_name: BTreeMap::new(),
        }
    }

    /// Makes the secret, or gives it a new version: the last one becomes `AWSPREVIOUS`. The ARN and
    /// the version's id.
    pub(super) fn put(&mut self, name: &str, text: &str) -> Answer<(String, String)> {
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c)) {
            return Err(FakeError::validation("a name of a secret is letters, digits and /_+=.@-"));
        }
        let version = SecretVersion {
            id: random_uuid()?.to_string(),
            text: Zeroizing::new(text.to_owned()),
            stages: vec![CURRENT.to_owned()],
            created: SystemTime::now(),
        };
        let suffix = random::<6>()?.map(|byte| char::from(b'a' + byte % 26));
        let secret = self.by_name.entry(name.to_owned()).or_insert_with(|| Secret {
            name: name.to_owned(),
            arn: format!("{}{name}-{}", self.prefix, String::from_iter(suffix)),
            versions: Vec::new(),
        });
        for older in &mut secret.versions {
            let was_current = older.stages.iter().any(|stage| stage == CURRENT);
            older.stages = if was_current { vec![PREVIOUS.to_owned()] } else { Vec::new() };
        }
        let id = version.id.clone();
        secret.versions.push(version);
        Ok((secret.arn.clone(), id))
    }

    pub(super) fn delete(&mut self, given: &str) -> Answer<()> {
        let name = self.find(given)?.name.clone();
        self.by_name.remove(&name);
        Ok(())
    }

    /// The secret of a name or an ARN.
    pub(super) fn find(&self, given: &str) -> Answer<&Secret> {
        self.by_name.values().find(|secret| secret.name == given || secret.arn == given).ok_or_else(|| {
            FakeError::new(ErrorCode::ResourceNotFound, "Secrets Manager can't find the specified secret.")
        })
    }
}

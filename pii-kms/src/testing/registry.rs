//! Which keys and aliases there are in one region of one account, and what a key may be called.

use std::{collections::BTreeMap, fmt};

use super::{
    error::{Answer, ErrorCode, FakeError},
    keys::{Key, KeyOptions},
    secrets::Secrets,
};

pub(super) struct Registry {
    pub(super) region: String,
    pub(super) account: String,
    keys: BTreeMap<String, Key>,
    /// Name with `alias/`, and the id of the key.
    aliases: BTreeMap<String, String>,
    /// Locators and ARNs of keys that are gone.
    deleted: Vec<([u8; 32], String)>,
    pub(super) secrets: Secrets,
}

impl Registry {
    pub(super) fn new(region: &str, account: &str) -> Self {
        Self {
            region: region.to_owned(),
            account: account.to_owned(),
            keys: BTreeMap::new(),
            aliases: BTreeMap::new(),
            deleted: Vec::new(),
            secrets: Secrets::new(region, account),
        }
    }

    pub(super) fn create(&mut self, options: KeyOptions) -> Answer<String> {
        let key = Key::new(&self.region, &self.account, options)?;
        let arn = key.arn.clone();
        self.keys.insert(key.id.clone(), key);
        Ok(arn)
    }

    pub(super) fn add_replica(&mut self, original: &Key) -> Answer<String> {
        let Some(regions) = &original.regions else {
            return Err(FakeError::new(
                ErrorCode::UnsupportedOperation,
                "only a multi-Region key has replicas",
            ));
        };
        let replica = original.replica(&self.region, &self.account);
        if original.arn.split(':').nth(4) != Some(&self.account) {
            return Err(FakeError::validation("a replica belongs to the account of its key"));
        }
        if self.keys.contains_key(&replica.id) {
            return Err(FakeError::new(ErrorCode::AlreadyExists, "the region has this key already"));
        }
        super::lock(regions).push(self.region.clone());
        let arn = replica.arn.clone();
        self.keys.insert(replica.id.clone(), replica);
        Ok(arn)
    }

    pub(super) fn delete(&mut self, given: &str) -> Answer<()> {
        let key = self.resolve(given)?.clone();
        self.keys.remove(&key.id);
        self.aliases.retain(|_, id| *id != key.id);
        if let Some(regions) = &key.regions {
            super::lock(regions).retain(|region| *region != self.region);
        }
        self.deleted.push((key.material.locator, key.arn));
        Ok(())
    }

    pub(super) fn set_alias(&mut self, alias: &str, given: &str) -> Answer<()> {
        let is_name = alias.strip_prefix("alias/").is_some_and(|name| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "/_-".contains(c))
        });
        if !is_name || alias.starts_with("alias/aws/") {
            return Err(FakeError::validation(
                "an alias is `alias/` and letters, digits, `/`, `_` or `-`; `alias/aws/` is reserved",
            ));
        }
        let id = self.resolve(given)?.id.clone();
        self.aliases.insert(alias.to_owned(), id);
        Ok(())
    }

    pub(super) fn remove_alias(&mut self, alias: &str) -> Answer<()> {
        self.aliases.remove(alias).map(drop).ok_or_else(|| self.no_alias(alias))
    }

    /// Alias names with the ids of their keys.
    pub(super) fn aliases(&self) -> impl Iterator<Item = (&str, &str)> {
        self.aliases.iter().map(|(alias, id)| (alias.as_str(), id.as_str()))
    }

    pub(super) fn alias_arn(&self, alias: &str) -> String {
        format!("arn:aws:kms:{}:{}:{alias}", self.region, self.account)
    }

    /// The key of an id, an ARN, an alias name or the ARN of an alias.
    pub(super) fn resolve(&self, given: &str) -> Answer<&Key> {
        let id = self.id_of(given)?;
        self.keys.get(id).ok_or_else(|| {
            not_found(format!("Key 'arn:aws:kms:{}:{}:key/{id}' does not exist", self.region, self.account))
        })
    }

    pub(super) fn resolve_mut(&mut self, given: &str) -> Answer<&mut Key> {
        let id = self.resolve(given)?.id.clone();
        self.keys.get_mut(&id).ok_or_else(|| not_found("no such key"))
    }

    /// The key that made a blob.
    pub(super) fn by_locator(&self, locator: &[u8; 32]) -> Answer<&Key> {
        if let Some(key) = self.keys.values().find(|key| key.material.locator == *locator) {
            return Ok(key);
        }
        match self.deleted.iter().find(|(deleted, _)| deleted == locator) {
            Some((_, arn)) => Err(not_found(format!("Key '{arn}' does not exist"))),
            None => Err(FakeError::invalid_ciphertext()),
        }
    }

    /// Whether any key was ever promised this grant token.
    pub(super) fn knows_grant_token(&self, token: &str) -> bool {
        self.keys.values().flat_map(|key| &key.grant_tokens).any(|(_, known)| known == token)
    }

    fn id_of<'a>(&'a self, given: &'a str) -> Answer<&'a str> {
        if given.is_empty() || given.len() > 2048 {
            return Err(FakeError::validation("a KeyId has 1 to 2048 characters"));
        }
        let name = if given.starts_with("arn:") { self.resource_of(given)? } else { given };
        if name.starts_with("alias/") {
            return self.aliases.get(name).map(String::as_str).ok_or_else(|| self.no_alias(name));
        }
        match name.strip_prefix("key/") {
            Some(id) if given.starts_with("arn:") => Ok(id),
            None if is_key_id(name) => Ok(name),
            _ => Err(not_found(format!("Invalid keyId '{given}'"))),
        }
    }

    /// `key/...` or `alias/...` of an ARN in this region and account.
    fn resource_of<'a>(&self, arn: &'a str) -> Answer<&'a str> {
        let invalid = || FakeError::new(ErrorCode::InvalidArn, format!("Invalid arn {arn}"));
        let mut parts = arn.splitn(6, ':');
        let (Some("arn"), Some("aws"), Some("kms"), Some(region), Some(account), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(invalid());
        };
        let is_resource =
            resource.starts_with("alias/") || resource.strip_prefix("key/").is_some_and(is_key_id);
        if region.is_empty() || account.is_empty() || !is_resource {
            return Err(invalid());
        }
        if region != self.region {
            return Err(not_found(format!("Invalid arn {region}")));
        }
        if account != self.account {
            return Err(FakeError::new(
                ErrorCode::AccessDenied,
                "The resource does not exist in this Region, no resource-based policies allow access, \
                 or a resource-based policy explicitly denies access",
            ));
        }
        Ok(resource)
    }

    fn no_alias(&self, alias: &str) -> FakeError {
        not_found(format!("Alias {} is not found.", self.alias_arn(alias)))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}, {} keys", self.region, self.account, self.keys.len())
    }
}

fn not_found(message: impl Into<String>) -> FakeError {
    FakeError::new(ErrorCode::NotFound, message)
}

/// A UUID, or `mrk-` and 32 hex digits.
fn is_key_id(id: &str) -> bool {
    let is_hex = |text: &str| text.chars().all(|c| c.is_ascii_hexdigit());
    match id.strip_prefix("mrk-") {
        Some(digits) => digits.len() == 32 && is_hex(digits),
        None => id.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && id.split('-').all(is_hex),
    }
}

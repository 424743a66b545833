//! The fake as a whole: its handle, its keys and its secrets.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard},
};

use super::{
    KeyOptions, KeyState, Operation, Result, access::Rules, calls::Calls, faults::Faults, lock,
    registry::Registry,
};

/// One region of one account: keys, aliases, secrets, and the means to make trouble.
///
/// Clones are handles on the same service. [`FakeKms::role`] gives a handle with permissions of its
/// own.
#[derive(Clone)]
pub struct FakeKms {
    shared: Arc<Shared>,
    role: Arc<Role>,
}

pub(super) struct Shared {
    registry: Mutex<Registry>,
    faults: Mutex<Faults>,
    calls: Mutex<Calls>,
}

pub(super) struct Role {
    name: String,
    rules: Mutex<Rules>,
}

impl FakeKms {
    /// A service without keys.
    #[must_use]
    pub fn new(region: &str, account: &str) -> Self {
        let shared = Shared {
            registry: Mutex::new(Registry::new(region, account)),
            faults: Mutex::default(),
            calls: Mutex::default(),
        };
        Self { shared: Arc::new(shared), role: Role::new("default") }
    }

    /// A handle for another caller of the same service: its rules and policies are its own, and
    /// there are none at first.
    #[must_use]
    pub fn role(&self, name: &str) -> Self {
        Self { shared: Arc::clone(&self.shared), role: Role::new(name) }
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> String {
        self.registry().region.clone()
    }

    /// The account.
    #[must_use]
    pub fn account(&self) -> String {
        self.registry().account.clone()
    }
}

/// Keys. Wherever a key is named, its id, ARN, alias or alias ARN will do.
impl FakeKms {
    /// Makes an enabled symmetric key and gives its ARN.
    ///
    /// # Errors
    /// `ErrorCode::Internal` if the operating system gives no random bytes.
    pub fn create_key(&self) -> Result<String> {
        self.create_key_with(KeyOptions::default())
    }

    /// Makes an enabled symmetric key with these options and gives its ARN.
    ///
    /// # Errors
    /// As [`FakeKms::create_key`].
    pub fn create_key_with(&self, options: KeyOptions) -> Result<String> {
        self.registry().create(options)
    }

    /// Makes a replica of a multi-Region key in another region of the account. It opens what the
    /// others seal. Gives its ARN.
    ///
    /// # Errors
    /// `ErrorCode::UnsupportedOperation` for a key of one region, `ErrorCode::AlreadyExists`,
    /// `ErrorCode::Validation` for another account, `ErrorCode::NotFound`.
    pub fn replicate_key(&self, key: &str, to: &Self) -> Result<String> {
        let original = self.registry().resolve(key)?.clone();
        to.registry().add_replica(&original)
    }

    /// Gives a key another state.
    ///
    /// # Errors
    /// `ErrorCode::NotFound`.
    pub fn set_key_state(&self, key: &str, state: KeyState) -> Result<()> {
        self.registry().resolve_mut(key)?.state = state;
        Ok(())
    }

    /// Deletes a key for good, at once, with its aliases: it is not found any more.
    ///
    /// # Errors
    /// `ErrorCode::NotFound`.
    pub fn delete_key(&self, key: &str) -> Result<()> {
        self.registry().delete(key)
    }

    /// Adds a version of the key's material, which encrypts from now on; older ones still decrypt.
    ///
    /// # Errors
    /// `ErrorCode::NotFound`; `ErrorCode::Internal` without random bytes.
    pub fn rotate_key(&self, key: &str) -> Result<()> {
        self.registry().resolve(key)?.material.rotate()
    }

    /// Makes an alias (`alias/name`), or points it to another key.
    ///
    /// # Errors
    /// `ErrorCode::Validation` for what is no alias name, `ErrorCode::NotFound`.
    pub fn set_alias(&self, alias: &str, key: &str) -> Result<()> {
        self.registry().set_alias(alias, key)
    }

    /// Removes an alias.
    ///
    /// # Errors
    /// `ErrorCode::NotFound`.
    pub fn remove_alias(&self, alias: &str) -> Result<()> {
        self.registry().remove_alias(alias)
    }

    /// From now on an operation with this key needs this grant token, or another one that was set
    /// for both. Without any, or with one for something else, access is denied.
    ///
    /// # Errors
    /// `ErrorCode::NotFound`.
    pub fn require_grant_token(&self, key: &str, operation: Operation, token: &str) -> Result<()> {
        self.registry().resolve_mut(key)?.grant_tokens.push((operation, token.to_owned()));
        Ok(())
    }
}

/// Secrets.
impl FakeKms {
    /// Makes a secret, or a new version of it: that one is `AWSCURRENT`, the last one
    /// `AWSPREVIOUS`. Gives the secret's ARN and the version's id.
    ///
    /// # Errors
    /// `ErrorCode::Validation` for a name that is none; `ErrorCode::Internal` without random
    /// bytes.
    pub fn put_secret(&self, name: &str, text: &str) -> Result<(String, String)> {
        self.registry().secrets.put(name, text)
    }

    /// Deletes a secret at once.
    ///
    /// # Errors
    /// `ErrorCode::ResourceNotFound`.
    pub fn delete_secret(&self, name_or_arn: &str) -> Result<()> {
        self.registry().secrets.delete(name_or_arn)
    }
}

impl FakeKms {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry> {
        lock(&self.shared.registry)
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.role.rules)
    }

    pub(super) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.shared.faults)
    }

    pub(super) fn calls_seen(&self) -> MutexGuard<'_, Calls> {
        lock(&self.shared.calls)
    }

    pub(super) fn role_name(&self) -> &str {
        &self.role.name
    }
}

impl Role {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self { name: name.to_owned(), rules: Mutex::default() })
    }
}

impl fmt::Debug for FakeKms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeKms({:?}, role {})", *self.registry(), self.role.name)
    }
}

//! KMS keys: ids, states, versions of their material.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use pii_core::SecretBytes;
use zeroize::Zeroizing;

use super::{
    blob::{Blob, Origin},
    context::CallContext,
    error::{Answer, ErrorCode, FakeError},
    operation::Operation,
    random::{fill, random, random_uuid},
};

/// What a key is made with.
#[derive(Debug, Clone, Default)]
pub struct KeyOptions {
    pub(super) multi_region: bool,
    pub(super) description: String,
}

impl KeyOptions {
    /// A multi-Region key, whose id begins with `mrk-` and which can be replicated.
    #[must_use]
    pub fn multi_region(mut self) -> Self {
        self.multi_region = true;
        self
    }

    /// What `DescribeKey` tells about it.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = description.into();
        self
    }
}

/// What can be done with a key. A deleted key has no state: it is not found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Everything.
    Enabled,
    /// Nothing, until it is enabled again.
    Disabled,
    /// Nothing, until the deletion is cancelled.
    PendingDeletion,
}

impl KeyState {
    /// The name in `DescribeKey`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enabled => "Enabled",
            Self::Disabled => "Disabled",
            Self::PendingDeletion => "PendingDeletion",
        }
    }
}

struct Version {
    id: [u8; 16],
    key: Zeroizing<[u8; 32]>,
}

impl Version {
    fn new() -> Answer<Self> {
        let mut key = Zeroizing::new([0; 32]);
        fill(&mut *key)?;
        Ok(Self { id: random()?, key })
    }
}

/// The versions of a key, shared by its replicas. The newest encrypts, all of them decrypt.
pub(super) struct Material {
    pub(super) locator: [u8; 32],
    versions: Mutex<Vec<Version>>,
}

impl Material {
    pub(super) fn new() -> Answer<Self> {
        Ok(Self { locator: random()?, versions: Mutex::new(vec![Version::new()?]) })
    }

    pub(super) fn rotate(&self) -> Answer<()> {
        let version = Version::new()?;
        self.versions().push(version);
        Ok(())
    }

    fn versions(&self) -> MutexGuard<'_, Vec<Version>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) arn: String,
    /// What blobs bind: the ARN, of a replica that of the first key.
    pub(super) bound_name: String,
    pub(super) description: String,
    pub(super) state: KeyState,
    pub(super) created: SystemTime,
    pub(super) material: Arc<Material>,
    /// The regions of a multi-Region key, the primary first.
    pub(super) regions: Option<Arc<Mutex<Vec<String>>>>,
    /// An operation that is listed here needs one of its tokens.
    pub(super) grant_tokens: Vec<(Operation, String)>,
}

impl Key {
    pub(super) fn new(region: &str, account: &str, options: KeyOptions) -> Answer<Self> {
        let uuid = random_uuid()?;
        let regions = options.multi_region.then(|| Arc::new(Mutex::new(vec![region.to_owned()])));
        let id = if options.multi_region { format!("mrk-{}", uuid.simple()) } else { uuid.to_string() };
        let arn = key_arn(region, account, &id);
        Ok(Self {
            bound_name: arn.clone(),
            arn,
            id,
            description: options.description,
            state: KeyState::Enabled,
            created: SystemTime::now(),
            material: Arc::new(Material::new()?),
            regions,
            grant_tokens: Vec::new(),
        })
    }

    /// The same key in another region: its own state, the same material.
    pub(super) fn replica(&self, region: &str, account: &str) -> Self {
        Self {
            arn: key_arn(region, account, &self.id),
            state: KeyState::Enabled,
            created: SystemTime::now(),
            grant_tokens: Vec::new(),
            ..self.clone()
        }
    }

    /// The ARN of the replica in that region.
    pub(super) fn arn_in(&self, region: &str, account: &str) -> String {
        key_arn(region, account, &self.id)
    }

    pub(super) fn check_state(&self) -> Answer<()> {
        match self.state {
            KeyState::Enabled => Ok(()),
            KeyState::Disabled => {
                Err(FakeError::new(ErrorCode::Disabled, format!("{} is disabled.", self.arn)))
            }
            KeyState::PendingDeletion => {
                Err(FakeError::new(ErrorCode::InvalidState, format!("{} is pending deletion.", self.arn)))
            }
        }
    }

    pub(super) fn seal(&self, context: &CallContext, plaintext: &[u8]) -> Answer<Vec<u8>> {
        let versions = self.material.versions();
        let newest =
            versions.last().ok_or_else(|| FakeError::new(ErrorCode::Internal, "a key without versions"))?;
        let origin = Origin { locator: self.material.locator, version: newest.id };
        let associated_data = context.associated_data(&self.bound_name, &origin.locator, &origin.version);
        Blob::seal(&newest.key, origin, &associated_data, plaintext)
    }

    pub(super) fn open(&self, context: &CallContext, blob: &Blob) -> Answer<SecretBytes> {
        let versions = self.material.versions();
        let version = versions
            .iter()
            .find(|version| version.id == blob.origin.version)
            .ok_or_else(FakeError::invalid_ciphertext)?;
        let origin = &blob.origin;
        let associated_data = context.associated_data(&self.bound_name, &origin.locator, &origin.version);
        blob.open(&version.key, &associated_data)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {})", self.arn, self.state.name())
    }
}

fn key_arn(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

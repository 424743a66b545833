//! Data keys wrapped in this process, under a branch key that another keyring wraps.

mod branches;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;

use self::branches::{BranchKey, Branches, Elected};
use super::{
    GeneratedKey, KeyBinding, Keyring,
    cache::{Ages, Cache},
    local::{generate_under, wrap_under},
    refuse_test_copies,
};
use crate::{
    context::EncryptionContext,
    crypto::DataKey,
    error::{Error, ErrorKind, Result},
    key_store::{KeySlot, KeyStore},
    wire::{KeyId, Provider, Purpose, WrappedKey},
};

/// A keyring between a key service and many data keys: it asks the inner keyring for one **branch
/// key**, and wraps the data keys of tenants and persons under it, in this process.
///
/// The branch key is kept, wrapped by the inner keyring, as a record of purpose
/// [`Purpose::Branch`] in a key store, which may be the one of the data keys. A process asks the
/// inner keyring once for each branch key and [`max_age`](Self::max_age), however many tenants
/// there are. Each tenant still has a data key of its own: destroying its record erases that
/// tenant and no other.
///
/// What one gains in calls one pays in reach: whoever takes the branch key from this process's
/// memory can unwrap every data key of the branch that they can read. Give tenants that must be
/// apart from each other at the key service a keyring each, under names of their own.
///
/// ```no_run
/// # use pii_core as pii;
/// use std::sync::Arc;
/// use pii::{Cryptor, FileKeyStore, HierarchicalKeyring, KeyStore, LocalKeyring};
///
/// let store: Arc<dyn KeyStore> = Arc::new(FileKeyStore::open("data-keys")?);
/// let inner = LocalKeyring::open("pii.key")?; // or a key service
/// let keyring = HierarchicalKeyring::shared(Arc::new(inner), Arc::clone(&store));
/// let cryptor = Cryptor::envelope().keyring(keyring).shared_key_store(store).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
///
/// **Over the test keyring** everything works, and the mark goes along: a branch key with a copy of
/// [`Provider::TEST`] makes copies of that provider, which every keyring refuses but a hierarchical
/// one that unwraps the branch key by the test keyring.
///
/// **When the inner keyring fails** at the end of the age: an answer that may pass, throttled or
/// unavailable, lets the branch key be used for a [`grace`](Self::grace); any other, such as denied
/// or disabled, takes it out of memory at once.
#[must_use]
pub struct HierarchicalKeyring {
    branches: Arc<Branches>,
    ages: Ages,
    /// The id of the key that wraps new data keys.
    elected: Arc<Cache<(), KeyId>>,
    keys: Arc<Cache<KeyId, Arc<BranchKey>>>,
}

impl HierarchicalKeyring {
    /// Branch keys wrapped by `inner` and kept in `branch_store`. Nothing is asked for yet.
    pub fn new(inner: impl Keyring, branch_store: impl KeyStore) -> Self {
        Self::shared(Arc::new(inner), Arc::new(branch_store))
    }

    /// As [`HierarchicalKeyring::new`], for a keyring or store that is used elsewhere too.
    pub fn shared(inner: Arc<dyn Keyring>, branch_store: Arc<dyn KeyStore>) -> Self {
        let slot = KeySlot {
            keyring: "branch".into(),
            context: Arc::new(EncryptionContext::empty()),
            purpose: Purpose::Branch,
        };
        let age = Duration::from_secs(300);
        let (store, known) = (branch_store, Mutex::default());
        Self::build(
            Branches { inner, store, slot, rotate_after: None, known },
            Ages { max_age: age, grace: age },
        )
    }

    fn build(branches: Branches, ages: Ages) -> Self {
        Self {
            branches: Arc::new(branches),
            ages,
            elected: Arc::new(Cache::new(ages)),
            keys: Arc::new(Cache::new(ages)),
        }
    }

    fn with(self, change: impl FnOnce(&mut Branches, &mut Ages)) -> Self {
        let old = &self.branches;
        let mut branches = Branches {
            inner: Arc::clone(&old.inner),
            store: Arc::clone(&old.store),
            slot: old.slot.clone(),
            rotate_after: old.rotate_after,
            known: Mutex::default(),
        };
        let mut ages = self.ages;
        change(&mut branches, &mut ages);
        Self::build(branches, ages)
    }

    /// What the branch key is bound to at the inner keyring, such as the application; empty by
    /// default. It stays the same for good: branch keys of another context are refused.
    pub fn branch_context(self, context: EncryptionContext) -> Self {
        self.with(|branches, _| branches.slot.context = Arc::new(context))
    }

    /// The name under which the store keeps the branch keys; `branch` by default. Two hierarchical
    /// keyrings over one store need two names, or two branch contexts.
    pub fn branch_name(self, name: &str) -> Self {
        self.with(|branches, _| branches.slot.keyring = name.into())
    }

    /// How long a branch key stays in memory before the inner keyring is asked again; 300 seconds
    /// by default. With zero, every use asks.
    pub fn max_age(self, max_age: Duration) -> Self {
        self.with(|_, ages| ages.max_age = max_age)
    }

    /// For how much longer a branch key is used while the inner keyring or the store is throttled or
    /// unavailable; 300 seconds by default.
    pub fn grace(self, grace: Duration) -> Self {
        self.with(|_, ages| ages.grace = grace)
    }

    /// Makes a new branch key when the elected one is older than this. Older ones go on opening.
    /// By default none is made but by [`HierarchicalKeyring::rotate_branch_key`].
    pub fn rotate_after(self, age: Duration) -> Self {
        self.with(|branches, _| branches.rotate_after = Some(age))
    }

    /// Makes a branch key of the next epoch, which wraps all data keys from now on, and gives its
    /// id. Other processes follow within their [`max_age`](Self::max_age). To move existing data
    /// keys to it, rewrap their records.
    ///
    /// # Errors
    /// Those of the inner keyring and of the store.
    pub async fn rotate_branch_key(&self) -> Result<KeyId> {
        self.check_name()?;
        let elected = self.branches.rotate().await?;
        let key_id = keep(&self.keys, elected);
        self.elected.put((), key_id);
        Ok(key_id)
    }

    /// The id of the branch key that wraps new data keys. Makes one if there is none, so it can be
    /// called at the start of a program to find out early whether everything is in place.
    ///
    /// # Errors
    /// Those of the inner keyring and of the store.
    pub async fn branch_key_id(&self) -> Result<KeyId> {
        Ok(self.active().await?.key.id())
    }

    fn check_name(&self) -> Result<()> {
        if self.branches.slot.keyring.is_empty() {
            return Err(Error::new(ErrorKind::Configuration).message("the name of the branch keys is empty"));
        }
        Ok(())
    }

    /// The branch key that wraps new data keys.
    async fn active(&self) -> Result<Arc<BranchKey>> {
        self.check_name()?;
        let (branches, keys) = (Arc::clone(&self.branches), Arc::downgrade(&self.keys));
        let fetch = move || {
            async move {
                let elected = branches.elected().await?;
                Ok(match keys.upgrade() {
                    Some(keys) => keep(&keys, elected),
                    None => elected.key_id,
                })
            }
            .boxed()
        };
        let key_id = self.elected.get((), fetch).await?;
        self.key(key_id).await
    }

    async fn key(&self, key_id: KeyId) -> Result<Arc<BranchKey>> {
        let branches = Arc::clone(&self.branches);
        self.keys.get(key_id, move || async move { branches.load(key_id).await }.boxed()).await
    }

    async fn open(
        &self,
        copies: &[WrappedKey],
        binding: &KeyBinding,
        is_wanted: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<DataKey> {
        check_purpose(binding)?;
        // one marked copy marks the value
        let is_test = copies.iter().any(|copy| copy.provider == Provider::TEST);
        let provider = if is_test { Provider::TEST } else { Provider::HIERARCHICAL };
        let mut failure = None;
        for copy in copies.iter().filter(|copy| copy.provider == provider) {
            let Some(key_id) = KeyId::parse(&copy.key_name) else { continue };
            let branch = match self.key(key_id).await {
                Ok(branch) => branch,
                Err(error) => {
                    failure.get_or_insert(error);
                    continue;
                }
            };
            if branch.provider != provider {
                failure.get_or_insert_with(|| unmarked(key_id));
                continue;
            }
            if let Some(data_key) = branch.key.unwrap(&copy.blob, binding).filter(is_wanted) {
                return Ok(data_key);
            }
            failure.get_or_insert_with(|| {
                Error::new(ErrorKind::ContextMismatch).message(format!(
                    "the wrapped data key does not open under the expected context ({}), or was altered",
                    binding.context.names()
                ))
            });
        }
        Err(failure.or_else(|| refuse_test_copies(copies).err()).unwrap_or_else(|| {
            Error::new(ErrorKind::KeyMissing)
                .message("the data key is not wrapped under a branch key")
                .help("use the keyring with which the value was written")
        }))
    }
}

/// Keeps a key that this process has just made, so that the inner keyring need not unwrap it.
fn keep(keys: &Cache<KeyId, Arc<BranchKey>>, elected: Elected) -> KeyId {
    if let Some(key) = elected.key {
        keys.put(elected.key_id, key);
    }
    elected.key_id
}

/// Branch keys are wrapped by a keyring of another kind: two levels in one store would take each
/// other's keys for their own.
fn check_purpose(binding: &KeyBinding) -> Result<()> {
    if binding.purpose == Purpose::Branch {
        return Err(Error::new(ErrorKind::Configuration)
            .message("a hierarchical keyring does not wrap branch keys")
            .help("give the hierarchical keyring a key service or a key file as its inner keyring"));
    }
    Ok(())
}

fn unmarked(key_id: KeyId) -> Error {
    Error::new(ErrorKind::KeyMissing).key(key_id).message(
        "the mark of a test keyring is on the wrapped data key and not on its branch key, or the reverse",
    )
}

impl fmt::Debug for HierarchicalKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HierarchicalKeyring({:?})", self.branches.slot)
    }
}

impl Keyring for HierarchicalKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            check_purpose(binding)?;
            let branch = self.active().await?;
            generate_under(&branch.key, branch.provider, binding)
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(self.open(copies, binding, is_wanted))
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        Box::pin(async move {
            check_purpose(binding)?;
            let branch = self.active().await?;
            Ok(vec![wrap_under(&branch.key, branch.provider, data_key, binding)?])
        })
    }
}

//! A key file, a key store and rows, as an application has them; stores and keyrings in whose calls
//! things happen.

use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use pii::{
    BoxFuture, Cryptor, DataKey, EncryptedStr, FileKeyStore, GeneratedKey, KeyAdmin, KeyBinding, KeyId,
    KeyRecord, KeySlot, KeyStore, Keyring, ListedKey, LocalKeyring, PiiModel, Purpose, Result, WrappedKey,
    ctx,
};
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "customer", context(app = "billing", tenant = self.tenant))]
pub(crate) struct Customer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) email: EncryptedStr,
}

/// A folder with a key file and a key store.
pub(crate) struct House {
    folder: tempfile::TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self { folder: tempfile::tempdir().unwrap() };
        LocalKeyring::create(house.key_file()).unwrap();
        fs::create_dir(house.store_folder()).unwrap();
        house
    }

    pub(crate) fn key_file(&self) -> PathBuf {
        self.folder.path().join("pii.key")
    }

    pub(crate) fn store_folder(&self) -> PathBuf {
        self.folder.path().join("data-keys")
    }

    /// Another one that is the same.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { folder: tempfile::tempdir().unwrap() };
        fs::copy(self.key_file(), copy.key_file()).unwrap();
        copy_folder(&self.store_folder(), &copy.store_folder());
        copy
    }

    pub(crate) fn store(&self) -> Arc<FileKeyStore> {
        Arc::new(FileKeyStore::open(self.store_folder()).unwrap())
    }

    pub(crate) fn keyring(&self) -> LocalKeyring {
        LocalKeyring::open(self.key_file()).unwrap()
    }

    /// A cryptor as a new process has it.
    pub(crate) fn cryptor(&self) -> Cryptor {
        Cryptor::envelope().keyring(self.keyring()).shared_key_store(self.store()).build().unwrap()
    }

    pub(crate) fn admin(&self) -> KeyAdmin {
        self.admin_with(self.store(), Arc::new(self.keyring()))
    }

    pub(crate) fn admin_with(&self, store: Arc<dyn KeyStore>, keyring: Arc<dyn Keyring>) -> KeyAdmin {
        KeyAdmin::new(store).keyring("default", keyring)
    }

    /// Seals a row of this tenant, and gives it as it is stored.
    pub(crate) async fn seal(&self, id: i64, tenant: &str, email: &str) -> Customer {
        let mut rows = [Customer { id, tenant: tenant.into(), email: EncryptedStr::new(email) }];
        self.cryptor().seal(&mut rows).await.unwrap();
        stored(&rows[0])
    }

    /// One row for each of some tenants.
    pub(crate) async fn seal_for(&self, tenants: &[&str]) -> Vec<Customer> {
        let mut rows = Vec::new();
        for (id, tenant) in (1..).zip(tenants) {
            rows.push(self.seal(id, tenant, &email(id)).await);
        }
        rows
    }

    /// Opens rows of [`House::seal_for`] as a new process does.
    pub(crate) async fn assert_opens(&self, rows: &[Customer]) {
        let mut rows = rows.to_vec();
        self.cryptor().open(&mut rows).await.unwrap();
        for row in rows {
            assert_eq!(row.email.expose().unwrap(), &email(row.id));
        }
    }

    /// The record of the key that a stored row names.
    pub(crate) async fn record(&self, row: &Customer) -> KeyRecord {
        self.store().load(key_of(row)).await.unwrap().unwrap()
    }

    /// Takes a key-encryption key out of the key file, as documented: by deleting its line.
    pub(crate) fn forget_key(&self, key_id: KeyId) {
        let text = fs::read_to_string(self.key_file()).unwrap();
        let line = format!("key {key_id} ");
        let kept: Vec<&str> = text.lines().filter(|other| !other.starts_with(&line)).collect();
        assert_eq!(kept.len() + 1, text.lines().count());
        fs::write(self.key_file(), kept.join("\n")).unwrap();
    }
}

pub(crate) fn email(id: i64) -> String {
    format!("person{id}@example.com")
}

pub(crate) fn stored(row: &Customer) -> Customer {
    serde_json::from_str(&serde_json::to_string(row).unwrap()).unwrap()
}

pub(crate) fn key_of(row: &Customer) -> KeyId {
    row.email.ciphertext().unwrap().key_id()
}

pub(crate) fn slot(tenant: &str) -> KeySlot {
    KeySlot {
        keyring: "default".into(),
        context: Arc::new(ctx!(app = "billing", tenant = tenant).unwrap()),
        purpose: Purpose::Seal,
    }
}

pub(crate) fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// Waits once: the future of the caller can be dropped here.
pub(crate) fn pause() -> impl Future<Output = ()> + Send {
    struct Pause(bool);
    impl Future for Pause {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    }
    Pause(false)
}

/// Polls a future so many times; gives what it gave, if it ended.
pub(crate) fn poll_times<F: Future + ?Sized>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
    }
    None
}

/// What happens before a store replaces a record.
type BeforeReplace = Box<dyn Fn(&KeyRecord) + Send + Sync>;

/// A store that pauses before and after each call, and where others may be faster.
pub(crate) struct SlowStore {
    pub(crate) inner: Arc<FileKeyStore>,
    before_replace: Option<BeforeReplace>,
    pub(crate) replaced: Mutex<Vec<KeyId>>,
}

impl SlowStore {
    pub(crate) fn new(inner: Arc<FileKeyStore>) -> Self {
        Self { inner, before_replace: None, replaced: Mutex::default() }
    }

    pub(crate) fn before_replace(mut self, act: impl Fn(&KeyRecord) + Send + Sync + 'static) -> Self {
        self.before_replace = Some(Box::new(act));
        self
    }
}

macro_rules! slowly {
    ($call:expr) => {
        Box::pin(async move {
            pause().await;
            let result = $call.await;
            pause().await;
            result
        })
    };
}

impl KeyStore for SlowStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        slowly!(self.inner.load(key_id))
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        slowly!(self.inner.active(slot))
    }

    fn elected<'a>(&'a self, slot: &'a KeySlot, epoch: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        slowly!(self.inner.elected(slot, epoch))
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        slowly!(self.inner.elect(proposal))
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        slowly!(self.inner.insert(record))
    }

    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        slowly!(async {
            if let Some(act) = &self.before_replace {
                act(current);
            }
            self.replaced.lock().unwrap().push(current.key_id);
            self.inner.replace(current, new).await
        })
    }

    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        // small pages, so that there are several
        slowly!(self.inner.list(after, limit.min(2)))
    }
}

/// A keyring that pauses in each call, counts, and wraps wrongly if told to.
pub(crate) struct OddKeyring {
    inner: LocalKeyring,
    pub(crate) unwraps: AtomicU64,
    /// wraps another data key for this epoch's and context's binding
    pub(crate) wraps_wrongly_for: Option<String>,
    pub(crate) binds_wrongly: AtomicBool,
}

impl OddKeyring {
    pub(crate) fn new(inner: LocalKeyring) -> Self {
        Self { inner, unwraps: AtomicU64::new(0), wraps_wrongly_for: None, binds_wrongly: false.into() }
    }
}

impl Keyring for OddKeyring {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        slowly!(self.inner.generate(binding))
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        self.unwraps.fetch_add(1, Ordering::SeqCst);
        slowly!(self.inner.unwrap(copies, binding, is_wanted))
    }

    fn wrap<'a>(
        &'a self,
        data_key: &'a DataKey,
        binding: &'a KeyBinding,
    ) -> BoxFuture<'a, Result<Vec<WrappedKey>>> {
        slowly!(async {
            let is_odd = self.wraps_wrongly_for.as_deref() == binding.context.get("tenant");
            if is_odd && self.binds_wrongly.load(Ordering::SeqCst) {
                let other = KeyBinding { epoch: binding.epoch + 1, ..binding.clone() };
                return self.inner.wrap(data_key, &other).await;
            }
            if is_odd {
                return self.inner.wrap(&DataKey::generate()?, binding).await;
            }
            self.inner.wrap(data_key, binding).await
        })
    }
}

//! Key stores that lose records, and keyrings that are limited, wait for each other or are interfered with.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use pii::{
    BoxFuture, DataKey, EnvelopeBuilder, Error, GeneratedKey, KeyBinding, KeyId, KeyRecord, KeySlot,
    KeyStore, Keyring, ListedKey, Purpose, Result, SqlKeyStore, WrappedKey,
};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};
use tokio::sync::Barrier;

use super::{dynamo_table::DynamoTable, *};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Five minutes of age and as much grace, as by default.
pub(crate) const AGE: Duration = Duration::from_secs(300);

/// One row for each tenant.
pub(crate) fn tenants(count: i64) -> Vec<Customer> {
    (0..count).map(|id| Customer { id, tenant: format!("tenant-{id}"), ..ada() }).collect()
}

pub(crate) fn all_stored(rows: &[Customer]) -> Vec<Customer> {
    rows.iter().map(through_storage).collect()
}

/// Seals a row and gives it as it is stored.
pub(crate) async fn sealed(cryptor: &Cryptor) -> Result<Customer> {
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await?;
    Ok(through_storage(&rows[0]))
}

pub(crate) async fn opens(cryptor: &Cryptor, row: &Customer) -> Result<()> {
    let mut rows = [row.clone()];
    cryptor.open(&mut rows).await?;
    assert_eq!(rows[0].email.expose().unwrap(), "ada@example.com");
    Ok(())
}

/// The kind of the error with which a row does not open.
pub(crate) async fn refusal(cryptor: &Cryptor, row: &Customer) -> ErrorKind {
    opens(cryptor, row).await.unwrap_err().kind()
}

pub(crate) fn key_of(row: &Customer) -> KeyId {
    row.email.ciphertext().unwrap().key_id()
}

pub(crate) fn slot(purpose: Purpose) -> KeySlot {
    let context = Arc::new(ctx!(app = "billing", tenant = "acme").unwrap());
    KeySlot { keyring: "default".into(), context, purpose }
}

/// Fails a test that waits for itself.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(60), future).await {
        Ok(output) => output,
        Err(_) => panic!("deadlock: not done within a minute"),
    }
}

/// A key store, and access to its storage behind the library's back.
pub(crate) enum Storage {
    Files(tempfile::TempDir),
    Sqlite(tempfile::TempDir, SqlitePool),
    Dynamo(DynamoTable),
}

impl Storage {
    pub(crate) fn files() -> Self {
        Self::Files(tempfile::tempdir().unwrap())
    }

    pub(crate) async fn all() -> [Self; 3] {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(folder.path().join("keys.db"));
        let sqlite = Self::Sqlite(folder, SqlitePool::connect_lazy_with(options));
        sqlite.open().await;
        [Self::files(), sqlite, Self::Dynamo(DynamoTable::create().await)]
    }

    /// As another process has it.
    pub(crate) async fn open(&self) -> Arc<dyn KeyStore> {
        match self {
            Self::Files(folder) => Arc::new(FileKeyStore::open(folder.path()).unwrap()),
            Self::Sqlite(folder, _) => {
                Arc::new(SqlKeyStore::sqlite_file(folder.path().join("keys.db")).await.unwrap())
            }
            Self::Dynamo(table) => Arc::new(table.store()),
        }
    }

    /// A cryptor of another process.
    pub(crate) async fn process(&self, clock: &Clock) -> Cryptor {
        let builder = Cryptor::envelope().keyring(TestKeyring::new()).clock(clock);
        builder.shared_key_store(self.open().await).build().unwrap()
    }

    pub(crate) async fn record(&self, key_id: KeyId) -> Option<KeyRecord> {
        self.open().await.load(key_id).await.unwrap()
    }

    /// Loses a record, and its election too.
    pub(crate) async fn lose(&self, key_id: KeyId) {
        match self {
            Self::Files(folder) => {
                fs::remove_file(folder.path().join(format!("{key_id}.json"))).unwrap();
                remove_elections(folder.path(), key_id);
            }
            Self::Sqlite(_, pool) => {
                let delete = sqlx::query("DELETE FROM pii_data_keys WHERE key_id = $1");
                let done = delete.bind(key_id.to_string()).execute(pool).await.unwrap();
                assert_eq!(done.rows_affected(), 1);
            }
            Self::Dynamo(table) => {
                table.lose_elections(key_id).await;
                table.lose_record(key_id).await;
            }
        }
    }

    /// Writes another time over the one when the key was made.
    pub(crate) async fn backdate(&self, key_id: KeyId, created: &str) {
        match self {
            Self::Files(folder) => {
                let path = folder.path().join(format!("{key_id}.json"));
                let mut record: serde_json::Value =
                    serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
                record["created"] = created.into();
                fs::write(path, record.to_string()).unwrap();
            }
            Self::Sqlite(_, pool) => {
                let update = sqlx::query("UPDATE pii_data_keys SET created = $1 WHERE key_id = $2");
                let done = update.bind(created).bind(key_id.to_string()).execute(pool).await.unwrap();
                assert_eq!(done.rows_affected(), 1);
            }
            Self::Dynamo(table) => table.alter_member(key_id, "created", created.into()).await,
        }
    }
}

fn remove_elections(folder: &Path, key_id: KeyId) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_election = path.file_name().unwrap().to_str().unwrap().starts_with("slot-");
        if is_election && fs::read_to_string(&path).unwrap() == key_id.to_string() {
            fs::remove_file(path).unwrap();
        }
    }
}

/// What happens after an election, before its result is known.
type AfterElection = Box<dyn Fn(KeyRecord) -> BoxFuture<'static, ()> + Send + Sync>;

/// A key store that refuses writes on request, and where others act at a bad moment.
pub(crate) struct MeddledStore {
    inner: Arc<dyn KeyStore>,
    pub(crate) refuses_writes: AtomicBool,
    pub(crate) after_election: Mutex<Option<AfterElection>>,
}

impl MeddledStore {
    pub(crate) fn new(inner: Arc<dyn KeyStore>) -> Arc<Self> {
        Arc::new(Self { inner, refuses_writes: AtomicBool::new(false), after_election: Mutex::default() })
    }

    /// Once.
    pub(crate) fn after_election<F: Future<Output = ()> + Send + 'static>(
        &self,
        act: impl Fn(KeyRecord) -> F + Send + Sync + 'static,
    ) {
        *self.after_election.lock().unwrap() = Some(Box::new(move |record| Box::pin(act(record))));
    }

    fn check(&self) -> Result<()> {
        match self.refuses_writes.load(Ordering::SeqCst) {
            true => Err(Error::new(ErrorKind::KeyUnavailable).message("no permission to write")),
            false => Ok(()),
        }
    }
}

impl KeyStore for MeddledStore {
    fn load<'a>(&'a self, key_id: KeyId) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        self.inner.load(key_id)
    }

    fn active<'a>(&'a self, slot: &'a KeySlot) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        self.inner.active(slot)
    }

    fn elected<'a>(&'a self, slot: &'a KeySlot, epoch: u32) -> BoxFuture<'a, Result<Option<KeyRecord>>> {
        self.inner.elected(slot, epoch)
    }

    fn elect<'a>(&'a self, proposal: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(async move {
            self.check()?;
            let winner = self.inner.elect(proposal).await?;
            let act = self.after_election.lock().unwrap().take();
            if let Some(act) = act {
                act(winner.clone()).await;
            }
            Ok(winner)
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<KeyRecord>> {
        Box::pin(async move {
            self.check()?;
            self.inner.insert(record).await
        })
    }

    fn replace<'a>(&'a self, current: &'a KeyRecord, new: &'a KeyRecord) -> BoxFuture<'a, Result<bool>> {
        self.inner.replace(current, new)
    }

    fn list<'a>(&'a self, after: Option<KeyId>, limit: usize) -> BoxFuture<'a, Result<Vec<ListedKey>>> {
        self.inner.list(after, limit)
    }
}

/// What a role may ask of a key service.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Generates,
    Unwraps,
}

/// The test keyring for one of these roles.
pub(crate) struct Limited(pub(crate) Role);

impl Limited {
    fn check(&self, needed: Role) -> Result<()> {
        match self.0 == needed {
            true => Ok(()),
            false => Err(Error::new(ErrorKind::KeyDenied).message("the policy does not allow it")),
        }
    }
}

impl Keyring for Limited {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            self.check(Role::Generates)?;
            TestKeyring::new().generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            self.check(Role::Unwraps)?;
            TestKeyring::new().unwrap(copies, binding, is_wanted).await
        })
    }
}

/// A keyring that answers only when as many calls are under way together.
pub(crate) struct Together(Barrier);

impl Together {
    pub(crate) fn new(calls: usize) -> Self {
        Self(Barrier::new(calls))
    }
}

impl Keyring for Together {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            self.0.wait().await;
            TestKeyring::new().generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            self.0.wait().await;
            TestKeyring::new().unwrap(copies, binding, is_wanted).await
        })
    }
}

/// A cryptor over this keyring, by this clock.
pub(crate) fn by_clock(keyring: impl Keyring, clock: &Clock) -> EnvelopeBuilder {
    Cryptor::envelope().keyring(keyring).clock(clock)
}

/// The test keyring, in whose calls to make a key something else happens.
pub(crate) struct Meanwhile(Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>);

impl Meanwhile {
    pub(crate) fn new(act: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static) -> Self {
        Self(Box::new(act))
    }
}

impl Keyring for Meanwhile {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            (self.0)().await;
            TestKeyring::new().generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move { TestKeyring::new().unwrap(copies, binding, is_wanted).await })
    }
}

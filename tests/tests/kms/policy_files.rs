//! The policies of `docs/aws/policies`, as they stand there but for the ARNs of the keys: each service does
//! its work under its policy, and is refused what the others may.
//!
//! All services name the key by its alias, and most may not describe it.

use std::sync::Arc;

use pii::{
    Cryptor, DecryptPii as _, EncryptedStr, ErrorKind, HierarchicalKeyring, KeyAdmin, KeyBinding, KeyStore,
    Keyring, KmsKeyring, Mode, PiiModel, Purpose, RewrapOptions, SqlKeyStore, SqlTable, ctx,
    testing::kms::{FakeKms, FakeKmsServer, KeyState, Operation},
};
use sqlx::{
    Sqlite, SqlitePool,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};
use tempfile::TempDir;

use super::support::{Kms, REGION, client};

const READ_WRITE: &str = include_str!("../../../docs/aws/policies/read-write.json");
const WRITE_ONLY: &str = include_str!("../../../docs/aws/policies/write-only.json");
const READ_ONLY: &str = include_str!("../../../docs/aws/policies/read-only.json");
const HIERARCHICAL: &str = include_str!("../../../docs/aws/policies/hierarchical.json");
const REWRAP: &str = include_str!("../../../docs/aws/policies/rewrap.json");

const KEY_IN_FILES: &str = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab";
const NEW_KEY_IN_FILES: &str =
    "arn:aws:kms:eu-central-1:111122223333:key/5678cdef-34cd-56ef-78ab-234567890abc";

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", context(app = "shop", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

/// Whose values have data keys of purpose `subject`.
#[derive(PiiModel)]
#[pii(name = "person", table = "persons", context(app = "shop"), subject = self.person, from_row)]
struct Person {
    #[pii(id)]
    id: i64,
    person: String,
    email: EncryptedStr,
}

/// Of another application in the same database.
#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", context(app = "other", tenant = self.tenant), from_row)]
struct OtherCustomer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

fn customer(id: i64, tenant: &str) -> Customer {
    Customer { id, tenant: tenant.to_owned(), email: EncryptedStr::new(email(id)) }
}

fn email(id: i64) -> String {
    format!("user{id}@example.com")
}

/// A key, a database, and a key store in it.
struct Shop {
    kms: Kms,
    pool: SqlitePool,
    _folder: TempDir,
}

impl Shop {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file =
            SqliteConnectOptions::new().filename(folder.path().join("shop.db")).create_if_missing(true);
        let pool = SqlitePool::connect_with(file).await.unwrap();
        for statement in [
            "create table customers (id integer primary key, tenant text, email text)",
            "create table persons (id integer primary key, person text, email text)",
        ] {
            sqlx::query(statement).execute(&pool).await.unwrap();
        }
        let shop = Self { kms: Kms::start().await, pool, _folder: folder };
        shop.store().create_table().await.unwrap();
        shop
    }

    fn store(&self) -> SqlKeyStore<Sqlite> {
        SqlKeyStore::connect_like(&self.pool).unwrap()
    }

    /// A service with a role of its own.
    async fn service(&self, policy: &str) -> Service<'_> {
        Service::start(self, policy, "alias/pii").await
    }

    async fn stored(&self) -> Vec<String> {
        sqlx::query_scalar("select email from customers order by id").fetch_all(&self.pool).await.unwrap()
    }
}

struct Service<'a> {
    shop: &'a Shop,
    role: FakeKms,
    server: FakeKmsServer,
    key: String,
}

impl<'a> Service<'a> {
    async fn start(shop: &'a Shop, policy: &str, key: &str) -> Self {
        let role = shop.kms.fake.role("service");
        role.apply_iam_policy(&policy.replace(KEY_IN_FILES, &shop.kms.key)).unwrap();
        let server = role.serve().await.unwrap();
        Self { shop, role, server, key: key.to_owned() }
    }

    fn keyring(&self) -> KmsKeyring {
        KmsKeyring::with_client(client(REGION, &self.server.endpoint()), &self.key).unwrap()
    }

    /// As a process has it that has just started.
    fn cryptor(&self, mode: Mode) -> Cryptor {
        let builder = Cryptor::envelope().keyring(self.keyring()).key_store(self.shop.store());
        builder.mode(mode).build().unwrap()
    }

    async fn save(&self, mode: Mode, row: &Customer) -> pii::Result<()> {
        SqlTable::<Customer, _>::new(&self.shop.pool, &self.cryptor(mode)).insert(row).await
    }

    async fn read(&self, mode: Mode, id: i64) -> pii::Result<String> {
        let cryptor = self.cryptor(mode);
        let row = SqlTable::<Customer, _>::new(&self.shop.pool, &cryptor).get(id).decrypt_pii().await?;
        row.email.expose().map(str::to_owned)
    }

    async fn save_person(&self, mode: Mode, id: i64) -> pii::Result<()> {
        let row = Person { id, person: format!("random-{id}"), email: EncryptedStr::new(email(id)) };
        SqlTable::<Person, _>::new(&self.shop.pool, &self.cryptor(mode)).insert(&row).await
    }

    async fn read_person(&self, mode: Mode, id: i64) -> pii::Result<String> {
        let cryptor = self.cryptor(mode);
        let row = SqlTable::<Person, _>::new(&self.shop.pool, &cryptor).get(id).decrypt_pii().await?;
        row.email.expose().map(str::to_owned)
    }

    /// What the service may do with data keys of this application and purpose: make, open, wrap, move.
    async fn may(&self, app: &str, purpose: Purpose) -> [bool; 4] {
        let binding = binding(app, purpose);
        let of_others = self.shop.kms.keyring().generate(&binding).await.unwrap();
        let (keyring, copies) = (self.keyring(), &of_others.copies);
        [
            is_allowed(keyring.generate(&binding).await),
            is_allowed(keyring.unwrap(copies, &binding, &|_| true).await),
            is_allowed(keyring.wrap(&of_others.data_key, &binding).await),
            is_allowed(keyring.rewrap(copies, &binding, &|_| true).await),
        ]
    }

    /// Whoever has the policy does with these purposes of `shop` what is stated, and nothing with others.
    async fn assert_may(&self, expected: [bool; 4], purposes: &[Purpose]) {
        for purpose in [Purpose::Seal, Purpose::Subject, Purpose::Index, Purpose::Drop, Purpose::Branch] {
            let here = if purposes.contains(&purpose) { expected } else { [false; 4] };
            assert_eq!(self.may("shop", purpose).await, here, "{purpose:?}");
            assert_eq!(self.may("other", purpose).await, [false; 4], "{purpose:?}");
        }
    }
}

fn binding(app: &str, purpose: Purpose) -> KeyBinding {
    KeyBinding { context: Arc::new(ctx!(app = app, tenant = "acme").unwrap()), purpose, epoch: 0 }
}

fn is_allowed<T>(answer: pii::Result<T>) -> bool {
    match answer {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::KeyDenied, "{error}");
            false
        }
    }
}

#[track_caller]
fn assert_refused<T>(answer: pii::Result<T>, kind: ErrorKind) {
    assert_eq!(answer.err().expect("it is refused").kind(), kind);
}

#[tokio::test]
async fn read_write() {
    let shop = Shop::start().await;
    let service = shop.service(READ_WRITE).await;
    service.save(Mode::ReadWrite, &customer(1, "acme")).await.unwrap();
    service.save(Mode::ReadWrite, &customer(2, "initech")).await.unwrap();
    service.save_person(Mode::ReadWrite, 1).await.unwrap();
    assert_eq!(service.read(Mode::ReadWrite, 1).await.unwrap(), email(1));
    assert_eq!(service.read(Mode::ReadWrite, 2).await.unwrap(), email(2));
    assert_eq!(service.read_person(Mode::ReadWrite, 1).await.unwrap(), email(1));

    service.assert_may([true, true, false, false], &[Purpose::Seal, Purpose::Subject, Purpose::Index]).await;
    let other = OtherCustomer { id: 9, tenant: "acme".into(), email: EncryptedStr::new("a@b.c") };
    let cryptor = service.cryptor(Mode::ReadWrite);
    let saved = SqlTable::<OtherCustomer, _>::new(&shop.pool, &cryptor).insert(&other).await;
    assert_refused(saved, ErrorKind::KeyDenied);
    assert_eq!(shop.stored().await.len(), 2, "nothing of it is stored");
    let writer = shop.service(WRITE_ONLY).await;
    writer.save(Mode::WriteOnly, &customer(3, "acme")).await.unwrap();
    assert_refused(service.read(Mode::ReadWrite, 3).await, ErrorKind::KeyDenied);
}

#[tokio::test]
async fn write_only() {
    let shop = Shop::start().await;
    let service = shop.service(WRITE_ONLY).await;
    service.save(Mode::WriteOnly, &customer(1, "acme")).await.unwrap();
    service.save(Mode::WriteOnly, &customer(2, "acme")).await.unwrap();
    service.save_person(Mode::WriteOnly, 1).await.unwrap();
    assert_eq!(shop.kms.fake.calls(Operation::GenerateDataKey), 3, "each process makes keys of its own");
    assert_eq!(shop.kms.fake.calls(Operation::Decrypt), 0);

    assert_refused(service.read(Mode::WriteOnly, 1).await, ErrorKind::Mode);
    // a program that was changed, under the same policy
    assert_refused(service.read(Mode::ReadWrite, 1).await, ErrorKind::KeyDenied);
    assert_refused(service.read_person(Mode::ReadWrite, 1).await, ErrorKind::KeyDenied);
    assert_refused(service.save(Mode::ReadWrite, &customer(3, "acme")).await, ErrorKind::KeyDenied);
    service.assert_may([true, false, false, false], &[Purpose::Drop]).await;
}

#[tokio::test]
async fn read_only() {
    let shop = Shop::start().await;
    let both = shop.service(READ_WRITE).await;
    both.save(Mode::ReadWrite, &customer(1, "acme")).await.unwrap();
    both.save_person(Mode::ReadWrite, 1).await.unwrap();
    let writer = shop.service(WRITE_ONLY).await;
    writer.save(Mode::WriteOnly, &customer(2, "acme")).await.unwrap();
    writer.save_person(Mode::WriteOnly, 2).await.unwrap();

    let service = shop.service(READ_ONLY).await;
    for mode in [Mode::ReadOnly, Mode::ReadWrite] {
        for id in [1, 2] {
            assert_eq!(service.read(mode, id).await.unwrap(), email(id));
            assert_eq!(service.read_person(mode, id).await.unwrap(), email(id));
        }
    }
    assert_refused(service.save(Mode::ReadOnly, &customer(3, "acme")).await, ErrorKind::Mode);
    // a program that was changed: no new data keys. Whoever may open a data key can seal under it.
    assert_refused(service.save(Mode::ReadWrite, &customer(3, "initech")).await, ErrorKind::KeyDenied);
    service.save(Mode::ReadWrite, &customer(4, "acme")).await.unwrap();
    let purposes = [Purpose::Seal, Purpose::Index, Purpose::Subject, Purpose::Drop];
    service.assert_may([false, true, false, false], &purposes).await;
}

#[tokio::test]
async fn hierarchical() {
    let shop = Shop::start().await;
    let service = shop.service(HIERARCHICAL).await;
    // 1,000 records: no file to be flushed for each
    let in_memory = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let store: Arc<dyn KeyStore> = {
        let store = SqlKeyStore::new(in_memory);
        store.create_table().await.unwrap();
        Arc::new(store)
    };
    let process = || {
        let keyring = HierarchicalKeyring::shared(Arc::new(service.keyring()), Arc::clone(&store));
        Cryptor::envelope().keyring(keyring).shared_key_store(Arc::clone(&store)).build().unwrap()
    };
    let rows: Vec<Customer> = (0..1000).map(|id| customer(id, &format!("tenant-{id}"))).collect();
    SqlTable::<Customer, _>::new(&shop.pool, &process()).insert_many(&rows).await.unwrap();
    let select = sqlx::query_as::<_, Customer>("select * from customers order by id");
    let read = select.decrypt_pii(&process()).fetch_all(&shop.pool).await.unwrap();
    assert_eq!(read.len(), 1000);
    for (id, row) in (0..).zip(&read) {
        assert_eq!(row.email.expose().unwrap(), &email(id));
    }
    assert_eq!(shop.kms.fake.calls(Operation::GenerateDataKey), 1);
    assert_eq!(shop.kms.fake.calls(Operation::Decrypt), 1);

    // a keyring without branch keys may nothing
    assert_refused(service.save(Mode::ReadWrite, &customer(2000, "acme")).await, ErrorKind::KeyDenied);
    for purpose in [Purpose::Seal, Purpose::Subject, Purpose::Index, Purpose::Drop] {
        assert_eq!(service.may("shop", purpose).await, [false; 4], "{purpose:?}");
    }
    assert_eq!(service.may("shop", Purpose::Branch).await, [true, true, false, false]);
}

#[tokio::test]
async fn rewrap() {
    let shop = Shop::start().await;
    let service = shop.service(READ_WRITE).await;
    for (id, tenant) in [(1, "acme"), (2, "initech")] {
        service.save(Mode::ReadWrite, &customer(id, tenant)).await.unwrap();
    }
    let under_branch_keys = shop.service(HIERARCHICAL).await;
    let branch_store = shop.store().table("keys_under_branch_keys").unwrap();
    branch_store.create_table().await.unwrap();
    let branch_store: Arc<dyn KeyStore> = Arc::new(branch_store);
    let hierarchical = |inner: KmsKeyring| {
        let keyring = HierarchicalKeyring::shared(Arc::new(inner), Arc::clone(&branch_store));
        Cryptor::envelope().keyring(keyring).shared_key_store(Arc::clone(&branch_store)).build().unwrap()
    };
    let cryptor = hierarchical(under_branch_keys.keyring());
    SqlTable::<Customer, _>::new(&shop.pool, &cryptor).insert(&customer(3, "hooli")).await.unwrap();
    let before = shop.stored().await;

    let (fake, old_key) = (&shop.kms.fake, &shop.kms.key);
    let new_key = fake.create_key().unwrap();
    fake.set_alias("alias/new", &new_key).unwrap();
    assert!(REWRAP.contains(NEW_KEY_IN_FILES));
    let admin = Service::start(&shop, &REWRAP.replace(NEW_KEY_IN_FILES, &new_key), "alias/pii").await;
    let keyring = || {
        let builder = KmsKeyring::builder().client(client(REGION, &admin.server.endpoint()));
        Arc::new(builder.key("alias/new").decrypt_only("alias/pii").build().unwrap())
    };
    assert_eq!(keyring().resolve().await.unwrap(), [&*new_key, &**old_key]);
    let data_keys = KeyAdmin::new(Arc::new(shop.store())).keyring("default", keyring());
    let report = data_keys.rewrap(&RewrapOptions::default(), |_| ()).await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.rewrapped, report.unchanged), (2, 0), "{report}");
    assert!(data_keys.verify(|_| ()).await.unwrap().is_clean());
    let branch_keys = KeyAdmin::new(Arc::clone(&branch_store)).keyring("branch", keyring());
    let options = RewrapOptions { keyring: Some("branch".into()), ..RewrapOptions::default() };
    let report = branch_keys.rewrap(&options, |_| ()).await.unwrap();
    assert!(report.is_complete(), "{report}");
    assert_eq!((report.rewrapped, report.unchanged), (1, 0), "{report}");
    assert_eq!(shop.stored().await, before, "values stay as they are");

    // who moves keys makes none, and moves none of another application
    let keyring = keyring();
    for (app, purpose) in [("shop", Purpose::Seal), ("shop", Purpose::Branch), ("other", Purpose::Seal)] {
        let binding = binding(app, purpose);
        let made = shop.kms.keyring().generate(&binding).await.unwrap();
        assert_refused(keyring.generate(&binding).await, ErrorKind::KeyDenied);
        assert_refused(keyring.wrap(&made.data_key, &binding).await, ErrorKind::KeyDenied);
        let moved = keyring.rewrap(&made.copies, &binding, &|_| true).await;
        assert_eq!(is_allowed(moved), app == "shop");
    }

    fake.set_key_state(old_key, KeyState::Disabled).unwrap();
    let under_new_key = READ_WRITE.replace(KEY_IN_FILES, &new_key);
    let service = Service::start(&shop, &under_new_key, "alias/new").await;
    for id in [1, 2] {
        assert_eq!(service.read(Mode::ReadWrite, id).await.unwrap(), email(id));
    }
    let under_new_key = HIERARCHICAL.replace(KEY_IN_FILES, &new_key);
    let service = Service::start(&shop, &under_new_key, "alias/new").await;
    let cryptor = hierarchical(service.keyring());
    let row = SqlTable::<Customer, _>::new(&shop.pool, &cryptor).get(3).decrypt_pii().await.unwrap();
    assert_eq!(row.email.expose().unwrap(), &email(3));
}

/// The first key makes data keys, the others wrap them.
#[tokio::test]
async fn several_keys() {
    let shop = Shop::start().await;
    let second = shop.kms.fake.create_key().unwrap();
    let keyring = |service: &Service<'_>| {
        let builder = KmsKeyring::builder().client(client(REGION, &service.server.endpoint()));
        builder.key(&shop.kms.key).key(&second).build().unwrap()
    };
    let binding = binding("shop", Purpose::Seal);
    let service = shop.service(READ_WRITE).await;
    assert_refused(keyring(&service).generate(&binding).await, ErrorKind::KeyDenied);
    // as docs/keys.md says
    let for_the_second =
        READ_WRITE.replace(KEY_IN_FILES, &second).replace("kms:GenerateDataKey", "kms:Encrypt");
    service.role.apply_iam_policy(&for_the_second).unwrap();
    let made = keyring(&service).generate(&binding).await.unwrap();
    assert_eq!(made.copies.len(), 2);
    for copy in &made.copies {
        let opened = keyring(&service).unwrap(std::slice::from_ref(copy), &binding, &|_| true).await.unwrap();
        assert_eq!(opened.id(), made.data_key.id());
    }
}

//! Who writes and can't read, and who reads and can't write.

use std::fs;

use pii::{KeyId, PrivateKey, PublicKeyring, Purpose, SenderPolicy, SqlTable};
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use super::{key_support::*, *};

async fn writer(storage: &Storage) -> Cryptor {
    Cryptor::envelope()
        .keyring(Limited(Role::Generates))
        .shared_key_store(storage.open().await)
        .mode(Mode::WriteOnly)
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_role_that_may_only_generate_saves_and_one_that_may_only_unwrap_reads() {
    for storage in Storage::all().await {
        let writers = [writer(&storage).await, writer(&storage).await];
        let mut written = Vec::new();
        for writer in &writers {
            for _ in 0..3 {
                written.push(sealed(writer).await.unwrap());
            }
            let stats = writer.stats();
            assert_eq!((stats.keys_generated, stats.keys_unwrapped), (1, 0));
            assert_eq!(refusal(writer, &written[0]).await, ErrorKind::Mode);
        }
        let (first, second) = (key_of(&written[0]), key_of(&written[3]));
        assert_ne!(first, second, "no process takes another one's key");
        for key_id in [first, second] {
            let record = storage.record(key_id).await.unwrap();
            assert_eq!((record.slot, record.epoch), (slot(Purpose::Drop), 0));
        }
        assert!(
            storage.open().await.active(&slot(Purpose::Drop)).await.unwrap().is_none(),
            "none is elected"
        );

        let reader = Cryptor::envelope()
            .keyring(Limited(Role::Unwraps))
            .shared_key_store(storage.open().await)
            .mode(Mode::ReadOnly)
            .build()
            .unwrap();
        for row in &written {
            opens(&reader, row).await.unwrap();
        }
        let stats = reader.stats();
        assert_eq!((stats.keys_generated, stats.keys_unwrapped), (0, 2));
        assert_eq!(sealed(&reader).await.unwrap_err().kind(), ErrorKind::Mode);
        assert_eq!(reader.stats().keys_generated, 0);

        // who may do both does not seal under the writers' keys
        let both = storage.process(&Clock::new()).await;
        let row = sealed(&both).await.unwrap();
        assert_eq!(storage.record(key_of(&row)).await.unwrap().slot, slot(Purpose::Seal));
        opens(&both, &written[0]).await.unwrap();
        opens(&reader, &row).await.unwrap();
    }
}

#[tokio::test]
async fn a_role_that_may_only_generate_needs_the_mode() {
    let storage = Storage::files();
    sealed(&storage.process(&Clock::new()).await).await.unwrap();
    let without =
        Cryptor::envelope().keyring(Limited(Role::Generates)).shared_key_store(storage.open().await).build();
    assert_eq!(sealed(&without.unwrap()).await.unwrap_err().kind(), ErrorKind::KeyDenied);
    sealed(&writer(&storage).await).await.unwrap();
}

#[tokio::test]
async fn write_only_values_may_carry_their_keys() {
    let writer = Cryptor::envelope().keyring(Limited(Role::Generates)).mode(Mode::WriteOnly).build().unwrap();
    let row = sealed(&writer).await.unwrap();
    opens(&cryptor(), &row).await.unwrap();
}

#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "billing", tenant = self.tenant), from_row)]
struct Stored {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

fn new(id: i64) -> Stored {
    Stored { id, tenant: "acme".into(), email: EncryptedStr::new(format!("customer{id}@example.com")) }
}

type Table = SqlTable<Stored, sqlx::Sqlite>;

/// A database with a table of rows and one of keys.
struct Database {
    pool: SqlitePool,
    storage: Storage,
    _folder: tempfile::TempDir,
}

impl Database {
    async fn new(storage: Storage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            SqliteConnectOptions::new().filename(folder.path().join("data.db")).create_if_missing(true);
        let pool = SqlitePool::connect_lazy_with(options);
        let ddl =
            "create table customers (id integer primary key, tenant text not null, email text not null)";
        sqlx::query(ddl).execute(&pool).await.unwrap();
        Self { pool, storage, _folder: folder }
    }

    /// A program of its own with this keyring; with a key store, or with keys that travel in values.
    async fn program(&self, keyring: PublicKeyring, has_store: bool) -> Table {
        self.cryptor_and_table(keyring, has_store).await.1
    }

    async fn cryptor_and_table(&self, keyring: PublicKeyring, has_store: bool) -> (Cryptor, Table) {
        let builder = Cryptor::envelope().keyring(keyring);
        let builder = match has_store {
            true => builder.shared_key_store(self.storage.open().await),
            false => builder,
        };
        let cryptor = builder.build().unwrap();
        let table = SqlTable::new(&self.pool, &cryptor);
        (cryptor, table)
    }
}

/// Saves as two writers, and reads as each of them and as a reader.
async fn writers_and_readers(
    database: &Database,
    has_store: bool,
    writers: [PublicKeyring; 2],
    reader: PublicKeyring,
) -> Vec<KeyId> {
    let [first, second] = writers;
    let (cryptor, first) = database.cryptor_and_table(first, has_store).await;
    let second = database.program(second, has_store).await;
    for id in 1..=3 {
        first.insert(&new(id)).await.unwrap();
    }
    second.insert(&new(4)).await.unwrap();

    let own = first.get(1).decrypt_pii().await.unwrap();
    assert_eq!(own.email.expose().unwrap(), "customer1@example.com", "until it drops the key");
    let error = first.get(4).decrypt_pii().await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::KeyDenied);
    assert!(error.to_string().contains("public key only") && error.to_string().contains("email"), "{error}");
    cryptor.evict(&ctx!(app = "billing", tenant = "acme").unwrap());
    assert_eq!(first.get(1).decrypt_pii().await.err().unwrap().kind(), ErrorKind::KeyDenied);
    first.insert(&new(5)).await.unwrap();

    let reader = database.program(reader, has_store).await;
    let mut keys = Vec::new();
    for id in 1..=5 {
        let row = reader.get(id).decrypt_pii().await.unwrap();
        assert_eq!(*row.email.expose().unwrap(), format!("customer{id}@example.com"));
        keys.push(row.email.ciphertext().unwrap().key_id());
    }
    assert_eq!(reader.insert(&new(6)).await.unwrap_err().kind(), ErrorKind::Mode);
    keys
}

#[tokio::test]
async fn with_a_public_key_programs_write_what_only_the_private_key_reads() {
    for storage in Storage::all().await {
        for has_store in [true, false] {
            let database = Database::new(match &storage {
                Storage::Files(_) => Storage::files(),
                Storage::Sqlite(..) => Storage::all().await.into_iter().nth(1).unwrap(),
                Storage::Dynamo(..) => Storage::all().await.into_iter().nth(2).unwrap(),
            })
            .await;
            let private = PrivateKey::generate().unwrap();
            let public = || [private.public_key().clone()];
            let writer = || PublicKeyring::writer(public()).unwrap();
            let reader =
                PublicKeyring::reader([private.clone()], SenderPolicy::AnyoneWithThePublicKey).unwrap();
            let keys = writers_and_readers(&database, has_store, [writer(), writer()], reader).await;
            assert_eq!((keys[0], keys[1]), (keys[1], keys[2]));
            assert_ne!(keys[0], keys[3], "each program has a key of its own");
            assert_ne!(keys[0], keys[4], "and another one after it dropped that");
            for key_id in keys {
                let record = database.storage.record(key_id).await;
                assert_eq!(record.map(|record| record.slot), has_store.then(|| slot(Purpose::Drop)));
            }
        }
    }
}

#[tokio::test]
async fn readers_name_the_writers_whom_they_accept() {
    let database = Database::new(Storage::files()).await;
    let private = PrivateKey::generate().unwrap();
    let [one, two, unlisted] = [(); 3].map(|()| PrivateKey::generate().unwrap());
    let writer = |sender: &PrivateKey| {
        let keyring = PublicKeyring::writer([private.public_key().clone()]).unwrap();
        keyring.authenticated(sender.clone()).unwrap()
    };
    let listed = SenderPolicy::Authenticated(vec![one.public_key().clone(), two.public_key().clone()]);
    let reader = || PublicKeyring::reader([private.clone()], listed.clone()).unwrap();
    writers_and_readers(&database, true, [writer(&one), writer(&two)], reader()).await;
    let intruder = database.program(writer(&unlisted), true).await;
    intruder.insert(&new(7)).await.unwrap();
    let reader = database.program(reader(), true).await;
    let error = reader.get(7).decrypt_pii().await.err().unwrap();
    assert!(error.field_name() == Some("email") && !error.to_string().contains("customer7"), "{error}");
    assert!(reader.get(1).decrypt_pii().await.is_ok());
}

/// The stored text is the same whoever wrote it: only its key differs.
#[tokio::test]
async fn a_record_that_is_made_another_purpose_is_refused() {
    let storage = Storage::files();
    let row = sealed(&writer(&storage).await).await.unwrap();
    let Storage::Files(folder) = &storage else { unreachable!() };
    let path = folder.path().join(format!("{}.json", key_of(&row)));
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"drop\"", "\"seal\"")).unwrap();
    let reader = storage.process(&Clock::new()).await;
    assert_eq!(refusal(&reader, &row).await, ErrorKind::ContextMismatch);
    fs::write(&path, text).unwrap();
    opens(&storage.process(&Clock::new()).await, &row).await.unwrap();
}

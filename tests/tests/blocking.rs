//! `pii::blocking`: with no runtime, on runtimes, and refused inside async code.

use std::{
    error::Error as StdError,
    slice::from_mut,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use aws_sdk_kms::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
};
use pii::{
    Access, Cryptor, Documents, EncryptedStr, ErrorKind, FieldSelection, FileKeyStore, IndexText, KmsKeyring,
    LocalKeyring, Mode, PiiModel, SqlTable, TestKeyring, ValueState, blocking, ctx,
    testing::{CollectingSink, DelayingKeyring, kms::FakeKms},
};
use serde_json::json;
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{block_in_place, spawn_blocking},
};

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", context(tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

fn customer(id: i64) -> Customer {
    Customer { id, tenant: "acme".to_owned(), email: EncryptedStr::new(format!("ada{id}@example.com")) }
}

fn in_memory() -> blocking::Cryptor {
    blocking::Cryptor::new(Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap())
}

fn threads() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn one_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Seals and opens, as a new process would.
fn round_trip(cryptor: &blocking::Cryptor) -> pii::Result<()> {
    let mut customers = [customer(1)];
    cryptor.seal(&mut customers)?;
    assert_eq!(customers[0].email.state(), ValueState::Opened);
    let text = customers[0].email.stored_text()?.clone();
    assert!(text.as_str().starts_with("ENC:"));
    customers[0].email = EncryptedStr::from_ciphertext(text);
    cryptor.to_async().evict_all();
    cryptor.open(&mut customers)?;
    assert_eq!(customers[0].email.expose()?, "ada1@example.com");
    Ok(())
}

fn assert_refused(cryptor: &blocking::Cryptor) {
    let mut ada = customer(1);
    let error = cryptor.seal(from_mut(&mut ada)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    let text = error.to_string();
    assert!(text.contains("async code") && text.contains("spawn_blocking"), "{text}");
    assert_eq!(ada.email.state(), ValueState::Plain);
}

/// A KMS and a cryptor whose keys are in it. Its client speaks HTTP, on the runtime that it is used on.
fn with_kms() -> (impl Drop, Cryptor) {
    let fake = FakeKms::new("eu-central-1", "111122223333");
    let key = fake.create_key().unwrap();
    let server = one_thread().block_on(fake.serve()).unwrap();
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .endpoint_url(server.endpoint())
        .credentials_provider(Credentials::new("AKIDEXAMPLE", "secret", None, None, "tests"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::disabled());
    let keyring = KmsKeyring::with_client(Client::from_conf(config.build()), key).unwrap();
    (server, Cryptor::envelope().keyring(keyring).build().unwrap())
}

#[test]
fn key_files_and_file_stores_need_no_runtime() {
    let folder = tempfile::tempdir().unwrap();
    let keyring = LocalKeyring::open_or_create(folder.path().join("pii.key")).unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    let cryptor = Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap();
    round_trip(&blocking::Cryptor::new(cryptor)).unwrap();
}

#[test]
fn threads_that_wait_for_the_same_key_all_get_it() {
    let keyring = DelayingKeyring::new(TestKeyring::new(), Duration::from_millis(50));
    let cryptor = blocking::Cryptor::new(Cryptor::envelope().keyring(keyring).build().unwrap());
    thread::scope(|scope| {
        for id in 0..8 {
            let cryptor = cryptor.clone();
            scope.spawn(move || {
                let mut customers = [customer(id)];
                cryptor.seal(&mut customers).unwrap();
                cryptor.open(&mut customers).unwrap();
            });
        }
    });
    assert_eq!(cryptor.to_async().stats().sealed, 8);
}

#[test]
fn every_call_of_a_cryptor_waits() {
    let cryptor = in_memory();
    cryptor.warm([ctx!(tenant = "acme").unwrap()]).unwrap();
    let mut all = [customer(1), customer(2)];
    cryptor.prepare(&all).unwrap();
    assert_eq!(cryptor.seal_texts(&all).unwrap().len(), 2);
    let sink = Arc::new(CollectingSink::new());
    let audited = cryptor
        .scoped(ctx!(tenant = "acme"))
        .audited(Arc::<CollectingSink>::clone(&sink), pii::AuditFailure::Refuse)
        .acting_as(Access::new("a test", pii::Reason::Other("testing".into())));
    audited.seal(&mut all).unwrap();
    assert_eq!(sink.take().len(), 2);
    assert!(audited.open_each(&mut all, &FieldSelection::All).unwrap().iter().all(Result::is_ok));

    let mut joined: Vec<_> = all.iter().map(|row| (customer(row.id), pii::Other(row.id))).collect();
    for ((model, _), row) in joined.iter_mut().zip(&all) {
        model.email = EncryptedStr::from_ciphertext(row.email.stored_text().unwrap().clone());
    }
    let outcome = cryptor.open_each(&mut joined, &FieldSelection::only(["email"])).unwrap();
    assert!(outcome.iter().all(Result::is_ok));
    assert_eq!(joined[1].0.email.expose().unwrap(), "ada2@example.com");
    cryptor.open(&mut joined).unwrap();

    let elsewhere = cryptor.scoped(ctx!(tenant = "initech"));
    assert_eq!(elsewhere.open(&mut all).unwrap_err().kind(), ErrorKind::ContextMismatch);
    let writer = cryptor.limited_to(Mode::WriteOnly);
    assert_eq!(writer.open(&mut all).unwrap_err().kind(), ErrorKind::Mode);
}

#[test]
fn blind_indexes_and_masks_wait() {
    #[derive(PiiModel, serde::Serialize)]
    #[pii(name = "login", context(tenant = self.tenant))]
    struct Login {
        #[pii(id)]
        id: i64,
        tenant: String,
        #[pii(mask = "email", blind_index(normalize = "email"))]
        email: EncryptedStr,
    }
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    let cryptor = blocking::Cryptor::new(
        Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap(),
    );
    let login = || Login { id: 1, tenant: "acme".into(), email: EncryptedStr::new("Ada@example.com") };
    let search = Login::by_email("acme", "ada@example.com");
    let entries = cryptor.index_entries([&login()]).unwrap().remove(0);
    let terms = cryptor.index_terms(&search).unwrap();
    assert_eq!(entries[0].text, IndexText::Text(terms[0].texts[0].clone()));
    assert_eq!(cryptor.index_text(&search).unwrap(), terms[0].texts[0]);
    assert_eq!(cryptor.seal_changes([&login()]).unwrap()[0].indexes()[0].text, entries[0].text);
    assert_eq!(cryptor.sealed_changes(&login()).unwrap().indexes()[0].text, entries[0].text);
    let whole = login();
    let one = cryptor.sealed_fields(&whole, &FieldSelection::only(["email"])).unwrap();
    assert!(serde_json::to_value(&one).unwrap()["email"].as_str().unwrap().starts_with("ENC:"));
    let mut stored = [login()];
    cryptor.seal(&mut stored).unwrap();
    let [row] = stored;
    let text = row.email.stored_text().unwrap().clone();
    let loaded = || Login { email: EncryptedStr::from_ciphertext(text.clone()), ..login() };
    assert_eq!(cryptor.masked(vec![loaded()]).unwrap()[0].as_json()["email"], "*****");
    let hints = cryptor.masked_with_hints(vec![loaded()]).unwrap();
    assert_eq!(hints[0].as_json()["email"], "A****@example.com");
}

#[test]
fn documents_wait() {
    let cryptor = in_memory();
    let invoices = Documents::new("invoice").context(ctx!(tenant = "acme")).paths(["$.email"]).unwrap();
    let invoices = blocking::Documents::new(invoices);
    let original = json!({"email": "ada@example.com", "total": 12});

    let mut one = original.clone();
    invoices.encrypt_fields(&cryptor, &mut one, 1).unwrap();
    assert!(one["email"].as_str().unwrap().starts_with("ENC:"));
    assert!(invoices.decrypt_fields(&cryptor, &mut one.clone(), 2).unwrap_err().is_integrity());
    let opened: serde_json::Value = invoices.decrypt_fields_into(&cryptor, &one, 1).unwrap();
    assert_eq!(opened, original);
    invoices.decrypt_only(&cryptor, &mut one, 1, ["$.email"]).unwrap();
    assert_eq!(one, original);

    let mut all = [(1, original.clone()), (2, original.clone())];
    invoices.encrypt_fields_of_all(&cryptor, &mut all).unwrap();
    assert_ne!(all[1].1, original);
    invoices.decrypt_fields_of_all(&cryptor, &mut all).unwrap();
    assert_eq!(all[1].1, original);
    let sealed = invoices.encrypt_fields_from(&cryptor, &original, 3).unwrap();
    assert_ne!(sealed, original);

    let text = invoices.encrypt(&cryptor, &original, 4).unwrap();
    assert_eq!(invoices.decrypt::<serde_json::Value>(&cryptor, &text, 4).unwrap(), original);
    let texts = invoices.encrypt_all(&cryptor, &[(5, 1), (6, 2)]).unwrap();
    let numbers: Vec<u8> = invoices.decrypt_all(&cryptor, &[(5, &texts[0]), (6, &texts[1])]).unwrap();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn a_key_service_is_reached_on_a_runtime() {
    let (_server, cryptor) = with_kms();
    round_trip(&blocking::Cryptor::on(cryptor.clone(), threads())).unwrap();
    cryptor.evict_all();
    let (_server, cryptor) = with_kms();
    round_trip(&blocking::Cryptor::on(cryptor, one_thread())).unwrap();
    let (_server, cryptor) = with_kms();
    let runtime = Arc::new(threads());
    round_trip(&blocking::Cryptor::on(cryptor, Arc::clone(&runtime))).unwrap();
    let (_server, cryptor) = with_kms();
    round_trip(&blocking::Cryptor::on(cryptor, runtime.handle().clone())).unwrap();
}

#[test]
fn tables_are_used_on_a_runtime() {
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    let shop = blocking::Cryptor::on(cryptor, one_thread());
    let pool: SqlitePool = shop
        .run(async {
            let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
            sqlx::query("create table customers (id integer primary key, tenant text, email text)")
                .execute(&pool)
                .await?;
            Ok::<_, Box<dyn StdError>>(pool)
        })
        .unwrap();
    let customers = SqlTable::<Customer, _>::new(&pool, shop.to_async());
    shop.run(customers.insert(&customer(1))).unwrap();
    assert!(shop.run(customers.get(2)).unwrap_err().is_not_found());
    let ada = shop.run(customers.get(1).decrypt_pii()).unwrap();
    assert_eq!(ada.email.expose().unwrap(), "ada1@example.com");
}

#[test]
fn another_runtime_can_be_brought() {
    struct Other(Runtime);

    impl blocking::Wait for Other {
        fn wait(&self, work: std::pin::Pin<&mut dyn Future<Output = ()>>) -> pii::Result<()> {
            self.0.block_on(work);
            Ok(())
        }
    }

    struct Lazy;

    impl blocking::Wait for Lazy {
        fn wait(&self, _: std::pin::Pin<&mut dyn Future<Output = ()>>) -> pii::Result<()> {
            Ok(())
        }
    }

    let (_server, cryptor) = with_kms();
    round_trip(&blocking::Cryptor::on(cryptor.clone(), Other(one_thread()))).unwrap();
    let error = round_trip(&blocking::Cryptor::on(cryptor, Lazy)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

/// What a program does with diesel in a web server.
#[test]
fn blocking_threads_of_a_runtime_may_wait() {
    for runtime in [threads(), one_thread()] {
        let (_server, cryptor) = with_kms();
        runtime.block_on(async {
            let on_handle = blocking::Cryptor::on(cryptor, Handle::current());
            spawn_blocking(move || round_trip(&on_handle)).await.unwrap().unwrap();
            spawn_blocking(|| round_trip(&in_memory())).await.unwrap().unwrap();
        });
    }
}

#[test]
fn waiting_inside_async_code_is_an_error() {
    let waiting = [in_memory(), blocking::Cryptor::on(in_memory().to_async().clone(), Arc::new(threads()))];
    for cryptor in &waiting {
        round_trip(cryptor).unwrap();
        for runtime in [threads(), one_thread()] {
            runtime.block_on(async {
                assert_refused(cryptor);
                let in_task = cryptor.clone();
                tokio::spawn(async move { assert_refused(&in_task) }).await.unwrap();
            });
        }
        threads().block_on(async { block_in_place(|| assert_refused(cryptor)) });
        let runtime = threads();
        let entered = runtime.enter();
        assert_refused(cryptor);
        drop(entered);
        // and it leaves nothing behind
        round_trip(cryptor).unwrap();
    }
}

#[test]
fn waiting_inside_what_is_waited_for_is_an_error() {
    for cryptor in [in_memory(), blocking::Cryptor::on(in_memory().to_async().clone(), one_thread())] {
        cryptor
            .run(async {
                assert_refused(&in_memory());
                Ok::<_, pii::Error>(())
            })
            .unwrap();
        round_trip(&cryptor).unwrap();
    }
}

#[test]
fn a_panic_of_what_is_waited_for_leaves_the_thread_usable() {
    let cryptor = in_memory();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cryptor.run(async { if true { panic!("on purpose") } else { Ok::<_, pii::Error>(()) } })
    }));
    assert!(panicked.is_err());
    round_trip(&cryptor).unwrap();
}

#[test]
fn the_handle_of_a_runtime_that_nobody_drives_is_an_error() {
    let (_server, cryptor) = with_kms();
    let runtime = one_thread();
    let cryptor = blocking::Cryptor::on(cryptor, runtime.handle().clone());
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || done.send(round_trip(&cryptor)).unwrap());
    let error = is_done.recv_timeout(Duration::from_secs(20)).unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().contains("hand in the `Runtime`"), "{error}");
}

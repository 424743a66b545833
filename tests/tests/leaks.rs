//! Nothing of ours prints plaintext, key bytes or context values: logs at TRACE, Display and Debug of
//! every error, Debug of every type that holds something secret.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use pii::{
    Access, AppKeyFile, AppKeySource, AppKeys, AuditFailure, Cryptor, DataKey, DecryptPii as _, Encrypted,
    EncryptedStr, Error, ErrorKind, FieldSelection, FileKeyStore, Json, KeyBinding, Keyring as _,
    LocalKeyring, Mask, Mode, PiiModel, Purpose, Reason, SecretBytes, SqlTable, TestKeyring, ctx,
    testing::{CollectingSink, FailingKeyring, assert_no_plaintext},
};
use serde::{Deserialize, Serialize};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

const EMAIL: &str = "canary-plaintext@example.com";
const OTHER: &str = "canary-second-plaintext";
const TENANT: &str = "canary-tenant";
const JSON: &str = "canary-inside-json";
const SSN: &str = "canary-level-3";
const APP_SECRET: &str = "canary-app-secret-0123456789abcdef";
const OTHER_SECRET: &str = "canary-other-secret-0123456789abcdef";
const CANARIES: [&str; 7] = [EMAIL, OTHER, TENANT, JSON, SSN, APP_SECRET, OTHER_SECRET];

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "customer", table = "customers", context(app = "leaks", tenant = self.tenant), from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
    #[pii(mask = "last4")]
    phone: Option<EncryptedStr>,
    data: Option<Encrypted<Json<Vec<String>>>>,
    #[pii(level = 3)]
    ssn: Option<EncryptedStr>,
}

fn app_secret(version: u32, secret: &str) -> String {
    format!(
        r#"{{"app_encryption_keys": {{"level3_app_key_v{version}": "{secret}", "current_version": {version}}}}}"#
    )
}

fn app_keys() -> AppKeys {
    AppKeys::from_json(&app_secret(1, APP_SECRET)).unwrap()
}

fn customer(id: i64) -> Customer {
    Customer {
        id,
        tenant: TENANT.into(),
        email: EncryptedStr::new(EMAIL),
        phone: Some(EncryptedStr::new(OTHER)),
        data: Some(Encrypted::json(&vec![JSON.to_owned()]).unwrap()),
        ssn: Some(EncryptedStr::new(SSN)),
    }
}

/// A log that everything of the process goes to.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// An error with all the errors below it, as a careless program would log them.
fn whole_text(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = format!("{error} {error:?}");
    let mut below = error.source();
    while let Some(error) = below {
        text.push_str(&format!(" <- {error}"));
        below = error.source();
    }
    text
}

#[derive(Default)]
struct Errors(Vec<(ErrorKind, String)>);

impl Errors {
    fn of<T>(&mut self, result: Result<T, Error>) {
        let error = result.err().expect("an error was provoked");
        self.0.push((error.kind(), whole_text(&error)));
    }
}

async fn pool() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::query(
        "create table customers (id integer primary key, tenant text, email text, phone text, data text, ssn text)",
    )
    .execute(&pool)
    .await
    .unwrap();
    pool
}

#[tokio::test]
async fn logs_and_errors_show_no_plaintext() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let keyring = FailingKeyring::new(LocalKeyring::create(folder.path().join("pii.key")).unwrap());
    let store = folder.path().join("keys");
    let build = || {
        Cryptor::envelope()
            .keyring(keyring.clone())
            .key_store(FileKeyStore::open(&store).unwrap())
            .app_keys(app_keys())
            .build()
            .unwrap()
    };
    let sink = CollectingSink::new();
    let cryptor = build()
        .audited(Arc::new(sink.clone()), AuditFailure::Refuse)
        .acting_as(Access::new("alice", Reason::Support));
    let pool = pool().await;
    let table = SqlTable::<Customer, _>::new(&pool, &cryptor);
    table.insert(&customer(1)).await.unwrap();
    table.insert_many(&[customer(2), customer(3)]).await.unwrap();
    let opened = table.get(1).decrypt_pii().await.unwrap();

    let mut errors = Errors::default();
    errors.of(table.insert(&customer(1)).await);
    errors.of(table.get(99).await);
    errors.of(table.update(&Customer { id: 98, ..customer(1) }).await);
    errors.of(table.update(&Customer { id: 2, ..opened.clone() }).await);
    errors.of(table.update(&Customer { tenant: "canary-tenant-2".into(), ..opened.clone() }).await);
    errors.of(cryptor.scoped(ctx!(tenant = "canary-tenant-2")).open(&mut [opened.clone()]).await);
    errors.of(cryptor.limited_to(Mode::ReadOnly).seal(&mut [customer(1)]).await);
    errors.of(cryptor.limited_to(Mode::WriteOnly).open(&mut [opened.clone()]).await);
    errors.of(cryptor.open_each(&mut [opened.clone()], &FieldSelection::only(["nothing"])).await);
    errors.of(cryptor.seal(&mut [Customer { tenant: TENANT.repeat(100), ..customer(1) }]).await);
    for kind in
        [ErrorKind::KeyDenied, ErrorKind::KeyDisabled, ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable]
    {
        keyring.fail_with(kind);
        errors.of(build().seal(&mut [customer(1)]).await);
    }
    keyring.recover();
    let with_app_keys = |source: Arc<dyn AppKeySource>| {
        let store = FileKeyStore::open(&store).unwrap();
        Cryptor::envelope().keyring(keyring.clone()).key_store(store).app_keys(source).build().unwrap()
    };
    let stored = table.get(1).await.unwrap();
    let other = AppKeys::from_json(&app_secret(2, OTHER_SECRET)).unwrap();
    errors.of(with_app_keys(Arc::new(other)).open(&mut [stored.clone()]).await);
    let path = folder.path().join("app-keys.json");
    let file = AppKeyFile::create(&path).unwrap();
    for text in [
        app_secret(2, OTHER_SECRET).replace("current_version\": 2", "current_version\": 3"),
        app_secret(2, OTHER_SECRET).replace("_v2", ""),
        app_secret(2, OTHER_SECRET).replace("}}", ""),
        app_secret(2, OTHER_SECRET).replace("\"level3_app_key_v2\"", "7"),
        app_secret(2, OTHER_SECRET).replace("level3_app_key_v2", APP_SECRET),
        app_secret(2, &OTHER_SECRET[..20]),
        format!("{{\"{APP_SECRET}\": \"{OTHER_SECRET}\"}}"),
        OTHER_SECRET.to_owned(),
    ] {
        std::fs::write(&path, text).unwrap();
        errors.of(AppKeyFile::open(&path));
        errors.of(with_app_keys(Arc::new(file.clone())).open(&mut [stored.clone()]).await);
    }
    for (column, stored) in [
        ("email", "canary-plaintext@example.com"),
        ("email", "ENC:canary-plaintext@example.com"),
        ("phone", "ENC:AQEBAQEB"),
        ("ssn", "canary-level-3"),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("update customers set {column} = ? where id = 2")))
            .bind(stored)
            .execute(&pool)
            .await
            .unwrap();
        let query = || sqlx::query_as::<_, Customer>("select * from customers where id = 2");
        errors.of(query().decrypt_pii(&cryptor).fetch_one(&pool).await);
        let loaded = query().fetch_one(&pool).await.unwrap();
        errors.of(table.update(&loaded).await);
        let value = match column {
            "email" => loaded.email,
            "phone" => loaded.phone.unwrap(),
            _ => loaded.ssn.unwrap(),
        };
        errors.of(value.expose().map(drop));
    }
    sqlx::query("update customers set email = (select email from customers where id = 3) where id = 2")
        .execute(&pool)
        .await
        .unwrap();
    errors.of(table.get(2).decrypt_pii().await);
    let refused = sqlx::query("insert into customers (id, email) values (9, ?)")
        .bind(customer(1).email)
        .execute(&pool)
        .await
        .unwrap_err();
    errors.0.push((ErrorKind::State, whole_text(&refused)));
    let refused = serde_json::to_string(&customer(1)).unwrap_err();
    errors.0.push((ErrorKind::State, whole_text(&refused)));
    sqlx::query("drop table customers").execute(&pool).await.unwrap();
    errors.of(table.get(1).await);
    errors.of(table.insert(&customer(1)).await);
    pool.close().await;
    errors.of(table.insert(&customer(1)).await);

    for (kind, text) in &errors.0 {
        assert!(
            !CANARIES.iter().any(|canary| text.contains(canary)),
            "{kind:?} shows a plaintext or context value"
        );
    }
    assert!(errors.0.len() >= 45, "{}", errors.0.len());
    let log = log.0.lock().unwrap();
    assert!(log.len() > 1000, "the log was captured: {} bytes", log.len());
    assert_no_plaintext(&*log, &CANARIES);
    assert_no_plaintext(format!("{:?}", sink.take()), &CANARIES);
}

#[tokio::test]
async fn debug_of_everything_is_masked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pii.key");
    let keyring = LocalKeyring::create(&path).unwrap();
    let file = std::fs::read_to_string(&path).unwrap();
    let key_text = file.trim_end().rsplit(' ').next().unwrap();
    let binding =
        KeyBinding { context: Arc::new(ctx!(tenant = TENANT).unwrap()), purpose: Purpose::Seal, epoch: 0 };
    let generated = keyring.generate(&binding).await.unwrap();
    let builder = Cryptor::envelope().keyring(TestKeyring::new()).app_keys(app_keys());
    let shown_builder = format!("{builder:?}");
    let cryptor = builder.build().unwrap().scoped(ctx!(tenant = TENANT));
    let mut rows = [customer(1)];
    cryptor.seal(&mut rows).await.unwrap();
    let shown = format!(
        "{keyring:?} {binding:?} {generated:?} {shown_builder} {cryptor:?} {:?} {:?} {:?} {:?} {:?} {rows:?} {} {:?}",
        app_keys(),
        customer(1),
        SecretBytes::copy_from(EMAIL.as_bytes()),
        DataKey::generate().unwrap(),
        Json(JSON),
        rows[0].email,
        cryptor.seal_texts(&rows).await.unwrap(),
    );
    assert_no_plaintext(&shown, &CANARIES);
    assert_no_plaintext(&shown, &[key_text]);
    assert!(shown.contains("*****text"), "the mask `last4` shows its four characters: {shown}");
    assert_eq!(rows[0].email.masked(Mask::Email), "c****@example.com");
}

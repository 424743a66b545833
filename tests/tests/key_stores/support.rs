//! A model, cryptors and records for the tests of key stores.

use std::{
    future::{Future, IntoFuture},
    path::Path,
    sync::Arc,
    time::Duration,
};

use pii::{
    Cryptor, EncryptedStr, Error, KeyId, KeyRecord, KeySlot, KeyState, KeyStore, LocalKeyring, PiiModel,
    Provider, Purpose, Result, WrappedKey, ctx,
};

/// Values of contexts that no error may show.
pub(crate) const TENANT: &str = "acme-canary";
pub(crate) const OTHER: &str = "globex-canary";
pub(crate) const EMAIL: &str = "ada@example.com";

#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", context(app = "shop", tenant = self.tenant), from_row)]
pub(crate) struct Customer {
    #[pii(id)]
    pub(crate) id: i64,
    pub(crate) tenant: String,
    pub(crate) email: EncryptedStr,
}

pub(crate) fn customer(id: i64, tenant: &str) -> Customer {
    Customer { id, tenant: tenant.to_owned(), email: EncryptedStr::new(EMAIL) }
}

/// A cryptor without anything in its cache, as a process has that begins.
pub(crate) fn process(key_file: &Path, store: Arc<dyn KeyStore>) -> Cryptor {
    let keyring = LocalKeyring::open_or_create(key_file).unwrap();
    Cryptor::envelope().keyring(keyring).shared_key_store(store).build().unwrap()
}

/// Seals the email of this row; gives the text and its key.
pub(crate) async fn seal(cryptor: &Cryptor, id: i64, tenant: &str) -> Result<(String, KeyId)> {
    let mut rows = [customer(id, tenant)];
    cryptor.seal(&mut rows).await?;
    let ciphertext = rows[0].email.ciphertext().unwrap();
    Ok((ciphertext.as_str().to_owned(), ciphertext.key_id()))
}

pub(crate) async fn open(cryptor: &Cryptor, id: i64, tenant: &str, text: &str) -> Result<()> {
    let mut rows = [Customer { email: EncryptedStr::from_stored(text.to_owned()), ..customer(id, tenant) }];
    cryptor.open(&mut rows).await?;
    assert_eq!(rows[0].email.expose().unwrap(), EMAIL);
    Ok(())
}

pub(crate) fn slot(tenant: &str) -> KeySlot {
    KeySlot {
        keyring: "default".into(),
        context: Arc::new(ctx!(app = "shop", tenant = tenant).unwrap()),
        purpose: Purpose::Seal,
    }
}

/// A record whose key nobody has.
pub(crate) fn record(number: u16, tenant: &str, epoch: u32) -> KeyRecord {
    let mut id = [0; 16];
    // spread, so that they are not inserted in their order
    id[..4].copy_from_slice(&(u32::from(number).wrapping_mul(0x9e37_79b1)).to_be_bytes());
    id[14..].copy_from_slice(&number.to_be_bytes());
    KeyRecord {
        key_id: KeyId::from_bytes(id),
        slot: slot(tenant),
        epoch,
        state: KeyState::Active,
        created: "2026-01-01T00:00:00Z".to_owned(),
        copies: vec![copy(&number.to_be_bytes())],
    }
}

pub(crate) fn copy(blob: &[u8]) -> WrappedKey {
    WrappedKey { provider: Provider::LOCAL, key_name: "kek \"1\"".to_owned(), blob: blob.to_vec() }
}

pub(crate) fn destroyed(record: &KeyRecord) -> KeyRecord {
    KeyRecord { state: KeyState::Destroyed, copies: Vec::new(), ..record.clone() }
}

/// Fails a test that waits for itself.
pub(crate) async fn in_time<F: IntoFuture>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(60), future.into_future()).await {
        Ok(output) => output,
        Err(_) => panic!("deadlock: not done within 60 s"),
    }
}

/// Everything that a log might show of an error.
pub(crate) fn assert_tells_nothing(error: &Error) {
    let mut printed = format!("{error}\n{error:?}\n{error:#?}\n");
    let mut source = std::error::Error::source(error);
    while let Some(below) = source {
        printed.push_str(&format!("{below}\n"));
        source = below.source();
    }
    for secret in ["canary", EMAIL] {
        assert!(!printed.contains(secret), "{printed}");
    }
}

/// Compiles if the future can be spawned.
pub(crate) fn is_send<F: Future + Send>(future: F) -> F {
    future
}

//! What the suites of both databases use.

use std::{
    future::{Future, IntoFuture},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_core::future::BoxFuture;
use pii::{
    Cryptor, DataKey, Error, FileKeyStore, GeneratedKey, KeyBinding, Keyring, Result, TestKeyring, WrappedKey,
};
use sqlx::{Database, Pool};

/// A cryptor without a key store: the wrapped keys travel in the values.
pub(crate) fn cryptor() -> Cryptor {
    with_keyring(TestKeyring::new())
}

pub(crate) fn with_keyring(keyring: impl Keyring) -> Cryptor {
    Cryptor::envelope().keyring(keyring).build().unwrap()
}

/// A cryptor with its key store in this folder, as a process of its own would have it.
pub(crate) fn process(folder: &tempfile::TempDir) -> Cryptor {
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap()
}

/// Fails a test that waits for itself.
pub(crate) async fn in_time<F: IntoFuture>(future: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(20), future.into_future()).await {
        Ok(output) => output,
        Err(_) => panic!("deadlock: not done within 20 s"),
    }
}

/// A keyring that needs a connection of the pool for every call, as a key store in the same database
/// does: with a pool of one it shows who holds the connection.
pub(crate) struct PoolKeyring<DB: Database> {
    pool: Pool<DB>,
    inner: TestKeyring,
}

impl<DB: Database> PoolKeyring<DB> {
    pub(crate) fn new(pool: &Pool<DB>) -> Self {
        Self { pool: pool.clone(), inner: TestKeyring::new() }
    }

    async fn take_a_connection(&self) {
        let taken = tokio::time::timeout(Duration::from_secs(10), self.pool.acquire()).await;
        taken.expect("the pool's connection is held while keys are asked for").unwrap();
    }
}

impl<DB: Database> Keyring for PoolKeyring<DB> {
    fn generate<'a>(&'a self, binding: &'a KeyBinding) -> BoxFuture<'a, Result<GeneratedKey>> {
        Box::pin(async move {
            self.take_a_connection().await;
            self.inner.generate(binding).await
        })
    }

    fn unwrap<'a>(
        &'a self,
        copies: &'a [WrappedKey],
        binding: &'a KeyBinding,
        is_wanted: &'a (dyn Fn(&DataKey) -> bool + Sync),
    ) -> BoxFuture<'a, Result<DataKey>> {
        Box::pin(async move {
            self.take_a_connection().await;
            self.inner.unwrap(copies, binding, is_wanted).await
        })
    }
}

/// Collects errors, to search what they print for plaintext.
#[derive(Clone, Default)]
pub(crate) struct Errors(Arc<Mutex<Vec<String>>>);

impl Errors {
    pub(crate) fn add(&self, error: &Error) {
        let mut printed = format!("{error}\n{error:?}\n{error:#?}\n");
        let mut source = std::error::Error::source(error);
        while let Some(below) = source {
            printed.push_str(&format!("{below}\n{below:?}\n"));
            source = below.source();
        }
        self.0.lock().unwrap().push(printed);
    }

    pub(crate) fn printed(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Compiles if the future can be spawned.
pub(crate) fn is_send<F: Future + Send>(future: F) -> F {
    future
}

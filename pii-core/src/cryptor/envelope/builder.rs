//! Putting an envelope cryptor together.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures_core::future::BoxFuture;

use super::{
    EnvelopeCryptor, KeyService,
    cache::Spawn,
    clock::Clock,
    keys::KeySettings,
    limits::{CacheLimits, DataKeyRotation},
};
use crate::{
    app_keys::{AppKeySource, LoadedAppKeys},
    audit::{AuditFailure, AuditSink},
    cryptor::Cryptor,
    error::{Error, ErrorKind, Result},
    key_store::KeyStore,
    keyring::Keyring,
    model::Mode,
};

/// Calls to keyrings under way at once.
const CONCURRENT_KEY_CALLS: usize = 16;
/// Data keys that are unwrapped from the values of one batch.
const INLINE_KEYS_PER_BATCH: usize = 1000;

/// The name of the keyring for fields that name none.
pub(crate) const DEFAULT_KEYRING: &str = "default";

/// Puts a [`Cryptor`] together; begun by [`Cryptor::envelope`].
///
/// ```
/// # use pii_core as pii;
/// use std::time::Duration;
/// use pii::{CacheLimits, Cryptor, TestKeyring};
///
/// let cryptor = Cryptor::envelope()
///     .keyring(TestKeyring::new())
///     .named_keyring("high", TestKeyring::new())     // for fields with #[pii(keyring = "high")]
///     .cache_limits(CacheLimits { max_age: Duration::from_secs(60), ..CacheLimits::default() })
///     .build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Default)]
#[must_use]
pub struct EnvelopeBuilder {
    keyrings: BTreeMap<String, Arc<dyn Keyring>>,
    twice: Option<String>,
    store: Option<Arc<dyn KeyStore>>,
    limits: CacheLimits,
    rotation: DataKeyRotation,
    concurrent_key_calls: Option<usize>,
    inline_keys_per_batch: Option<usize>,
    spawn: Option<Spawn>,
    clock: Clock,
    app_keys: Option<LoadedAppKeys>,
    mode: Mode,
    audit: Option<(Arc<dyn AuditSink>, AuditFailure)>,
}

impl EnvelopeBuilder {
    /// The keyring for all fields that name none.
    pub fn keyring(self, keyring: impl Keyring) -> Self {
        self.named_keyring(DEFAULT_KEYRING, keyring)
    }

    /// A keyring for the fields that name it: `#[pii(keyring = "high")]`.
    pub fn named_keyring(self, name: impl Into<String>, keyring: impl Keyring) -> Self {
        self.shared_keyring(name, Arc::new(keyring))
    }

    /// As [`EnvelopeBuilder::named_keyring`], for a keyring that is used elsewhere too.
    pub fn shared_keyring(mut self, name: impl Into<String>, keyring: Arc<dyn Keyring>) -> Self {
        let name = name.into();
        if self.keyrings.insert(name.clone(), keyring).is_some() {
            self.twice.get_or_insert(name);
        }
        self
    }

    /// Where wrapped data keys are kept. Without a store they travel in each value, which makes
    /// values longer, and each process seals under data keys of its own.
    pub fn key_store(mut self, store: impl KeyStore) -> Self {
        self.store = Some(Arc::new(store));
        self
    }

    /// As [`EnvelopeBuilder::key_store`], for a store that is used elsewhere too.
    pub fn shared_key_store(mut self, store: Arc<dyn KeyStore>) -> Self {
        self.store = Some(store);
        self
    }

    /// Limits of the data-key cache.
    pub fn cache_limits(mut self, limits: CacheLimits) -> Self {
        self.limits = limits;
        self
    }

    /// When contexts get new data keys. By default never: a data key seals until it is rotated or
    /// retired in the key store.
    pub fn rotate_data_keys(mut self, rotation: DataKeyRotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// How many calls to keyrings may be under way at once, over all batches; 16 by default. What
    /// comes on top waits.
    pub fn concurrent_key_calls(mut self, calls: usize) -> Self {
        self.concurrent_key_calls = Some(calls);
        self
    }

    /// How many different data keys that travel in values are unwrapped for one batch; 1,000 by
    /// default. Values beyond that fail, each with an error of its own: whoever can write to a table
    /// could make one page of it cost any number of key calls.
    pub fn inline_keys_per_batch(mut self, keys: usize) -> Self {
        self.inline_keys_per_batch = Some(keys);
        self
    }

    /// Hands the work of fetching keys anew ahead of their end to a runtime, so that nobody waits
    /// for it. Without this, one of the callers who use the key meanwhile does it.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # async fn run() -> Result<(), pii::Error> {
    /// use pii::{Cryptor, TestKeyring};
    ///
    /// let cryptor = Cryptor::envelope()
    ///     .keyring(TestKeyring::new())
    ///     .spawn_refreshes_with(|refresh| drop(tokio::spawn(refresh)))
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn_refreshes_with(
        mut self,
        spawn: impl Fn(BoxFuture<'static, ()>) + Send + Sync + 'static,
    ) -> Self {
        self.spawn = Some(Arc::new(spawn));
        self
    }

    /// The clock by which data keys grow old in the cache.
    #[cfg(any(test, feature = "testing"))]
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.clone();
        self
    }

    /// Where the application keys of level 3 fields come from. They are loaded when the first value
    /// of level 3 is sealed or opened.
    pub fn app_keys(mut self, source: impl AppKeySource) -> Self {
        self.app_keys = Some(LoadedAppKeys::new(Arc::new(source)));
        self
    }

    /// Limits the cryptor to writing or to reading.
    ///
    /// A cryptor that is built [`WriteOnly`](Mode::WriteOnly) never asks a keyring to unwrap: it
    /// seals under data keys of purpose `drop`, which each process makes for itself. So the process
    /// needs no permission to decrypt. It makes a new data key, and with a key store a new record,
    /// for each context and [`max_age`](CacheLimits::max_age): raise that if there are many.
    ///
    /// Such a process looks after its records when it makes the next key: those that the key store
    /// has lost by then are put back. If it ends before, nobody else can: what it sealed since
    /// depends on the store's own durability. And since it takes part in no election, a process
    /// that starts after a context was [shredded](crate::KeyAdmin::shred) does not know of that: stop
    /// such writers first, or shred again.
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Where audit events go, and what happens when they can't.
    pub fn audit(mut self, sink: impl AuditSink, failure: AuditFailure) -> Self {
        self.audit = Some((Arc::new(sink), failure));
        self
    }

    /// The cryptor. No key is asked for yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no keyring, a name is given twice or is empty, or a
    /// limit is zero.
    pub fn build(self) -> Result<Cryptor> {
        let wrong = |message: String| Err(Error::new(ErrorKind::Configuration).message(message));
        if self.keyrings.is_empty() {
            return wrong("a cryptor needs a keyring: call `.keyring(...)`".to_owned());
        }
        if self.keyrings.contains_key("") {
            return wrong("the name of a keyring is empty".to_owned());
        }
        if let Some(name) = self.twice {
            return wrong(format!("the keyring `{name}` is given twice"));
        }
        self.limits.check()?;
        self.rotation.check()?;
        let concurrent_calls = self.concurrent_key_calls.unwrap_or(CONCURRENT_KEY_CALLS);
        if concurrent_calls == 0 {
            return wrong(
                "no call to a keyring would ever be made: `concurrent_key_calls` is zero".to_owned(),
            );
        }
        let keys = KeyService::new(KeySettings {
            keyrings: self.keyrings.into_iter().map(|(name, keyring)| (Arc::from(name), keyring)).collect(),
            store: self.store,
            limits: self.limits,
            rotation: self.rotation,
            concurrent_calls,
            inline_keys_per_batch: self.inline_keys_per_batch.unwrap_or(INLINE_KEYS_PER_BATCH),
            write_only: self.mode == Mode::WriteOnly,
            spawn: self.spawn,
            clock: self.clock,
        });
        let backend = EnvelopeCryptor::new(keys, self.app_keys);
        let cryptor = Cryptor::from_backend(backend).limited_to(self.mode);
        Ok(match self.audit {
            Some((sink, failure)) => cryptor.audited(sink, failure),
            None => cryptor,
        })
    }
}

impl fmt::Debug for EnvelopeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnvelopeBuilder").field("keyrings", &self.keyrings.keys()).finish_non_exhaustive()
    }
}

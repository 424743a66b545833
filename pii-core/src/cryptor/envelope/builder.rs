//! Putting an envelope cryptor together.

use std::{collections::BTreeMap, fmt, sync::Arc};

use super::{EnvelopeCryptor, KeyService, cache::CacheLimits};
use crate::{
    app_keys::{AppKeySource, LoadedAppKeys},
    audit::{AuditFailure, AuditSink},
    cryptor::Cryptor,
    error::{Error, ErrorKind, Result},
    key_store::KeyStore,
    keyring::Keyring,
    model::Mode,
};

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

    /// Where the application keys of level 3 fields come from. They are loaded when the first value
    /// of level 3 is sealed or opened.
    pub fn app_keys(mut self, source: impl AppKeySource) -> Self {
        self.app_keys = Some(LoadedAppKeys::new(Arc::new(source)));
        self
    }

    /// Limits the cryptor to writing or to reading.
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
        let keyrings = self.keyrings.into_iter().map(|(name, keyring)| (Arc::from(name), keyring)).collect();
        let backend = EnvelopeCryptor::new(KeyService::new(keyrings, self.store, self.limits), self.app_keys);
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

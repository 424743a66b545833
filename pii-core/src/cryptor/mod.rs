//! The cryptor: a cheap handle that seals and opens models.

#[cfg(feature = "threads")]
mod ahead;
mod audit_events;
mod backend;
mod counters;
pub(crate) mod envelope;
mod fields;
mod index_each;
mod indexing;
mod legacy;
mod moving;
mod names;
mod nodes;
mod open;
mod place;
mod plan;
mod prepare;
mod rows;
mod rules;
mod seal;
mod sealed_texts;
mod size;
mod texts;
mod wanted;

use std::{fmt, sync::Arc};

#[cfg(feature = "threads")]
pub use ahead::OpeningAhead;
pub use backend::{CryptorBackend, CryptorStats, IndexItem, OpenItem, SealItem};
use counters::Counters;
#[cfg(feature = "testing")]
pub use envelope::Clock;
pub use envelope::{CacheLimits, CryptorStatus, DataKeyRotation, EnvelopeBuilder, KeptKey};
pub use indexing::{IndexEntry, IndexTerm, IndexText};
use legacy::Legacies;
#[cfg(feature = "pydynox")]
pub(crate) use legacy::LegacyCodec;
pub use moving::StateCounts;
pub(crate) use nodes::NodeBatch;
pub(crate) use open::Keys;
pub use open::{FieldSelection, Opening};
pub(crate) use place::RowPlaces;
pub use place::ValuePlace;
pub use rows::{KnownRow, Other, PiiRow, Placed, Rows};
pub use sealed_texts::{SealedTexts, StoredText};
pub use wanted::Wanted;
pub(crate) use wanted::hinted;

use crate::{
    audit::{Access, AuditEvent, AuditFailure, AuditSink},
    context::{EncryptionContext, IntoContext},
    error::{Error, ErrorKind, Result},
    model::{Mode, PiiModel},
    policies::FieldPolicies,
};

/// Seals and opens the values of models. Cloning it is cheap; all clones share keys and counters.
///
/// ```
/// # use pii_core as pii;
/// use pii::{Cryptor, TestKeyring};
///
/// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
/// # Ok::<(), pii::Error>(())
/// ```
#[derive(Clone)]
pub struct Cryptor {
    backend: Arc<dyn CryptorBackend>,
    scope: Option<Arc<EncryptionContext>>,
    /// why the scope is not one: reported by every call
    broken_scope: Option<Error>,
    access: Option<Arc<Access>>,
    mode: Mode,
    audit: Option<Arc<dyn AuditSink>>,
    audit_failure: AuditFailure,
    /// of all clones together
    counters: Arc<Counters>,
    /// what is set at run time in place of what the derive says
    policies: Option<FieldPolicies>,
    legacies: Arc<Legacies>,
}

impl Cryptor {
    /// Starts building a cryptor that seals under data keys which keyrings wrap.
    pub fn envelope() -> EnvelopeBuilder {
        EnvelopeBuilder::default()
    }

    /// A cryptor over an implementation of your own.
    #[must_use]
    pub fn from_backend(backend: impl CryptorBackend) -> Self {
        Self {
            backend: Arc::new(backend),
            scope: None,
            broken_scope: None,
            access: None,
            mode: Mode::ReadWrite,
            audit: None,
            audit_failure: AuditFailure::Refuse,
            counters: Arc::default(),
            policies: None,
            legacies: Arc::default(),
        }
    }

    /// The same cryptor for rows of this context only: a row whose context lacks a pair, or has
    /// another value for it, is refused. Scopes add up.
    ///
    /// A tenant in a row is only a claim; a cryptor scoped to the tenant of the session makes it a
    /// condition. Takes the result of [`ctx!`](crate::ctx) as it is: an invalid context is reported
    /// by the first call.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # fn handle(cryptor: &pii::Cryptor, tenant: &str) {
    /// let cryptor = cryptor.scoped(pii::ctx!(tenant = tenant));
    /// # }
    /// ```
    #[must_use]
    pub fn scoped(&self, scope: impl IntoContext) -> Self {
        let scope = scope.into_context().and_then(|scope| match &self.scope {
            Some(outer) => outer.and(&scope),
            None => Ok(scope),
        });
        let mut scoped = self.clone();
        match scope {
            Ok(scope) => scoped.scope = Some(Arc::new(scope)),
            Err(error) => scoped.broken_scope = Some(error),
        }
        scoped
    }

    /// The same cryptor for this actor and reason, which every audit event names.
    #[must_use]
    pub fn acting_as(&self, access: Access) -> Self {
        Self { access: Some(Arc::new(access)), ..self.clone() }
    }

    /// The same cryptor limited to a mode: write-only refuses every open, read-only every seal.
    /// A limit can't be lifted again.
    #[must_use]
    pub fn limited_to(&self, mode: Mode) -> Self {
        let mut limited = self.clone();
        limited.mode = match (self.mode, mode) {
            (Mode::ReadWrite, other) | (other, Mode::ReadWrite) => other,
            (a, b) if a == b => a,
            _ => {
                limited.broken_scope =
                    Some(Error::new(ErrorKind::Mode).message("limited both to writing and to reading"));
                self.mode
            }
        };
        limited
    }

    /// The same cryptor with a sink for audit events.
    #[must_use]
    pub fn audited(&self, sink: Arc<dyn AuditSink>, failure: AuditFailure) -> Self {
        Self { audit: Some(sink), audit_failure: failure, ..self.clone() }
    }

    /// Asks for the data keys that seal under these contexts, so that the first values don't wait:
    /// when a program starts, or before a transaction. [`Cryptor::prepare`] does so for rows.
    ///
    /// # Errors
    /// [`ErrorKind::ContextMismatch`] for a context outside the scope; key and configuration errors.
    pub async fn warm(&self, contexts: impl IntoIterator<Item = EncryptionContext>) -> Result<()> {
        self.warm_keyrings(contexts, &[None]).await
    }

    /// As [`Cryptor::warm`], under keyrings by name; `None` is the one for fields that name none.
    ///
    /// # Errors
    /// As [`Cryptor::warm`].
    pub async fn warm_keyrings(
        &self,
        contexts: impl IntoIterator<Item = EncryptionContext>,
        keyrings: &[Option<&str>],
    ) -> Result<()> {
        let contexts: Vec<Arc<EncryptionContext>> = contexts.into_iter().map(Arc::new).collect();
        if !self.mode.can_seal() {
            return Err(Error::new(ErrorKind::Mode)
                .message("Cannot encrypt in ReadOnly mode")
                .help("a cryptor that only reads has no data keys to make ready"));
        }
        if let Some(scope) = self.usable_scope()? {
            contexts.iter().try_for_each(|context| place::check_scope(context, scope))?;
        }
        self.backend.prepare(&contexts, keyrings).await
    }

    /// Forgets the data keys of this context: the next value asks for them again. No value becomes
    /// readable or unreadable by it, so a [scope](Cryptor::scoped) does not matter.
    pub fn evict(&self, context: &EncryptionContext) {
        self.backend.evict(Some(context));
    }

    /// Forgets all data keys, such as after a change of permissions.
    pub fn evict_all(&self) {
        self.backend.evict(None);
    }

    /// The data keys that are held at the moment, for operators; all clones share them, whatever their
    /// [scope](Cryptor::scoped). There are names of context pairs in it, and no values.
    #[must_use]
    pub fn status(&self) -> CryptorStatus {
        self.backend.status()
    }

    /// Counters of all clones together.
    #[must_use]
    pub fn stats(&self) -> CryptorStats {
        self.counters.add_to(self.backend.stats())
    }

    /// The scope, if there is one.
    ///
    /// # Errors
    /// The error of an invalid scope.
    pub fn scope(&self) -> Result<Option<&EncryptionContext>> {
        self.usable_scope()
    }

    /// Whether the row of this model is in the scope, if there is one: for adapters, where no column tells it.
    ///
    /// # Errors
    /// The error of an invalid scope; [`ErrorKind::InvalidContext`] if the row's own context is.
    pub fn is_in_scope<M: PiiModel>(&self, model: &M) -> Result<bool> {
        let Some(scope) = self.usable_scope()? else { return Ok(true) };
        match RowPlaces::default().add(model, Some(scope)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::ContextMismatch => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn usable_scope(&self) -> Result<Option<&EncryptionContext>> {
        match &self.broken_scope {
            Some(error) => Err(error.clone()),
            None => Ok(self.scope.as_deref()),
        }
    }

    #[cfg(test)]
    pub(crate) fn backend(&self) -> &dyn CryptorBackend {
        &*self.backend
    }

    #[inline]
    fn is_audited(&self) -> bool {
        self.audit.is_some()
    }

    /// Records events, if there is a sink.
    async fn record(&self, events: Vec<AuditEvent>) -> Result<()> {
        let Some(sink) = self.audit.as_ref().filter(|_| !events.is_empty()) else { return Ok(()) };
        match (sink.record(&events).await, self.audit_failure) {
            (Ok(()), _) => Ok(()),
            (Err(error), AuditFailure::GoOn) => {
                tracing::error!(events = events.len(), %error, "audit events could not be recorded");
                Ok(())
            }
            (Err(error), AuditFailure::Refuse) => Err(Error::new(ErrorKind::Audit)
                .help("the operation was stopped; make the audit sink work and try again")
                .source(error)),
        }
    }
}

impl fmt::Debug for Cryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cryptor")
            .field("mode", &self.mode)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

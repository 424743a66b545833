//! The cryptor whose calls wait.

use std::{fmt, sync::Arc};

use pii_core::{
    Access, AuditFailure, AuditSink, EncryptionContext, Error, FieldPolicies, FieldSelection, IndexEntry,
    IndexTerm, IntoContext, MaskedView, Mode, Opening, PiiModel, PiiRow, Result, Sealed, SealedTexts,
    index::IndexSearch,
};
use serde::Serialize;

use super::wait::{NoRuntime, Wait, wait_for};

/// A [`pii::Cryptor`](crate::Cryptor) whose calls wait for their result. Cloning it is cheap; what it shares with the
/// async one are keys and counters.
///
/// Every call is an error inside async code, [`ErrorKind::State`](crate::ErrorKind::State): see
/// [the module](super).
#[derive(Clone)]
pub struct Cryptor {
    cryptor: pii_core::Cryptor,
    waiter: Arc<dyn Wait>,
}

impl Cryptor {
    /// A cryptor that needs no runtime: its keys and its key store are in files, or it holds them itself.
    ///
    /// Anything that needs a runtime and finds none panics by itself, such as sqlx and the AWS SDK: use
    /// [`Cryptor::on`] there.
    #[must_use]
    pub fn new(cryptor: pii_core::Cryptor) -> Self {
        Self::on(cryptor, NoRuntime)
    }

    /// A cryptor that works on a runtime of yours: a Tokio `Runtime`, an `Arc` of one, the `Handle` of one
    /// that runs, or [another](Wait).
    ///
    /// ```
    /// use pii::{Cryptor, TestKeyring, blocking};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// // `enable_all`, or the AWS SDK and sqlx find no timer and no network
    /// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    /// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?;
    /// let cryptor = blocking::Cryptor::on(cryptor, runtime);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on(cryptor: pii_core::Cryptor, runtime: impl Wait) -> Self {
        Self { cryptor, waiter: Arc::new(runtime) }
    }

    /// The async cryptor, for what this one has no method for.
    #[must_use]
    pub fn to_async(&self) -> &pii_core::Cryptor {
        &self.cryptor
    }

    /// Waits for any future: calls of a table, of [`KeyAdmin`](crate::KeyAdmin), of sqlx.
    ///
    /// ```
    /// # use pii::{Cryptor, TestKeyring, blocking, ctx};
    /// # let cryptor = blocking::Cryptor::new(Cryptor::envelope().keyring(TestKeyring::new()).build()?);
    /// cryptor.run(async {
    ///     let context = ctx!(tenant = "acme")?;
    ///     cryptor.to_async().warm([context]).await
    /// })?;
    /// # Ok::<(), pii::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of the future; [`ErrorKind::State`](crate::ErrorKind::State) inside async code.
    pub fn run<T, E: From<Error>>(&self, work: impl IntoFuture<Output = Result<T, E>>) -> Result<T, E> {
        wait_for(&*self.waiter, work.into_future())?
    }

    /// As [`Cryptor::seal`](crate::Cryptor::seal).
    ///
    /// # Errors
    /// The same.
    pub fn seal<M: PiiModel>(&self, models: &mut [M]) -> Result<()> {
        self.run(self.cryptor.seal(models))
    }

    /// As [`Cryptor::open`](crate::Cryptor::open).
    ///
    /// # Errors
    /// The same.
    pub fn open<R: PiiRow>(&self, models: &mut [R]) -> Result<()> {
        self.run(self.cryptor.open(models))
    }

    /// As [`Cryptor::open_each`](crate::Cryptor::open_each).
    ///
    /// # Errors
    /// The same.
    pub fn open_each<R: PiiRow>(&self, models: &mut [R], fields: &FieldSelection) -> Result<Opening> {
        self.run(self.cryptor.open_each(models, fields))
    }

    /// As [`Cryptor::seal_texts`](crate::Cryptor::seal_texts).
    ///
    /// # Errors
    /// The same.
    pub fn seal_texts<'a, M: PiiModel + 'a>(
        &self,
        models: impl IntoIterator<Item = &'a M>,
    ) -> Result<Vec<SealedTexts>> {
        self.run(self.cryptor.seal_texts(models))
    }

    /// As [`Cryptor::sealed`](crate::Cryptor::sealed).
    ///
    /// # Errors
    /// The same.
    pub fn sealed<'a, M: PiiModel>(&self, model: &'a M) -> Result<Sealed<'a, M>> {
        self.run(self.cryptor.sealed(model))
    }

    /// As [`Cryptor::sealed_each`](crate::Cryptor::sealed_each).
    ///
    /// # Errors
    /// The same.
    pub fn sealed_each<'a, M: PiiModel + 'a>(
        &self,
        models: impl IntoIterator<Item = &'a M>,
    ) -> Result<Vec<Sealed<'a, M>>> {
        self.run(self.cryptor.sealed_each(models))
    }

    /// As [`Cryptor::seal_changes`](crate::Cryptor::seal_changes).
    ///
    /// # Errors
    /// The same.
    pub fn seal_changes<'a, M: PiiModel + 'a>(
        &self,
        models: impl IntoIterator<Item = &'a M>,
    ) -> Result<Vec<SealedTexts>> {
        self.run(self.cryptor.seal_changes(models))
    }

    /// As [`Cryptor::sealed_changes`](crate::Cryptor::sealed_changes).
    ///
    /// # Errors
    /// The same.
    pub fn sealed_changes<'a, M: PiiModel>(&self, model: &'a M) -> Result<Sealed<'a, M>> {
        self.run(self.cryptor.sealed_changes(model))
    }

    /// As [`Cryptor::sealed_fields`](crate::Cryptor::sealed_fields).
    ///
    /// # Errors
    /// The same.
    pub fn sealed_fields<'a, M: PiiModel>(
        &self,
        model: &'a M,
        fields: &FieldSelection,
    ) -> Result<Sealed<'a, M>> {
        self.run(self.cryptor.sealed_fields(model, fields))
    }

    /// As [`Cryptor::index_entries`](crate::Cryptor::index_entries).
    ///
    /// # Errors
    /// The same.
    pub fn index_entries<'a, M: PiiModel + 'a>(
        &self,
        models: impl IntoIterator<Item = &'a M>,
    ) -> Result<Vec<Vec<IndexEntry>>> {
        self.run(self.cryptor.index_entries(models))
    }

    /// As [`Cryptor::index_terms`](crate::Cryptor::index_terms).
    ///
    /// # Errors
    /// The same.
    pub fn index_terms<M: PiiModel>(&self, search: &IndexSearch<M>) -> Result<Vec<IndexTerm>> {
        self.run(self.cryptor.index_terms(search))
    }

    /// As [`Cryptor::index_text`](crate::Cryptor::index_text).
    ///
    /// # Errors
    /// The same.
    pub fn index_text<M: PiiModel>(&self, search: &IndexSearch<M>) -> Result<Arc<str>> {
        self.run(self.cryptor.index_text(search))
    }

    /// As [`Cryptor::masked`](crate::Cryptor::masked).
    ///
    /// # Errors
    /// The same.
    pub fn masked<M: PiiModel + Serialize>(&self, models: Vec<M>) -> Result<Vec<MaskedView<M>>> {
        self.run(self.cryptor.masked(models))
    }

    /// As [`Cryptor::masked_with_hints`](crate::Cryptor::masked_with_hints).
    ///
    /// # Errors
    /// The same.
    pub fn masked_with_hints<M: PiiModel + Serialize>(&self, models: Vec<M>) -> Result<Vec<MaskedView<M>>> {
        self.run(self.cryptor.masked_with_hints(models))
    }

    /// As [`Cryptor::prepare`](crate::Cryptor::prepare).
    ///
    /// # Errors
    /// The same.
    pub fn prepare<'a, M: PiiModel + 'a>(&self, models: impl IntoIterator<Item = &'a M>) -> Result<()> {
        self.run(self.cryptor.prepare(models))
    }

    /// As [`Cryptor::warm`](crate::Cryptor::warm).
    ///
    /// # Errors
    /// The same.
    pub fn warm(&self, contexts: impl IntoIterator<Item = EncryptionContext>) -> Result<()> {
        self.run(self.cryptor.warm(contexts))
    }

    /// As [`Cryptor::scoped`](crate::Cryptor::scoped).
    #[must_use]
    pub fn scoped(&self, scope: impl IntoContext) -> Self {
        self.with(self.cryptor.scoped(scope))
    }

    /// As [`Cryptor::acting_as`](crate::Cryptor::acting_as).
    #[must_use]
    pub fn acting_as(&self, access: Access) -> Self {
        self.with(self.cryptor.acting_as(access))
    }

    /// As [`Cryptor::limited_to`](crate::Cryptor::limited_to).
    #[must_use]
    pub fn limited_to(&self, mode: Mode) -> Self {
        self.with(self.cryptor.limited_to(mode))
    }

    /// As [`Cryptor::audited`](crate::Cryptor::audited).
    #[must_use]
    pub fn audited(&self, sink: Arc<dyn AuditSink>, failure: AuditFailure) -> Self {
        self.with(self.cryptor.audited(sink, failure))
    }

    /// As [`Cryptor::with_policies`](crate::Cryptor::with_policies).
    #[must_use]
    pub fn with_policies(&self, policies: &FieldPolicies) -> Self {
        self.with(self.cryptor.with_policies(policies))
    }

    fn with(&self, cryptor: pii_core::Cryptor) -> Self {
        Self { cryptor, waiter: Arc::clone(&self.waiter) }
    }
}

impl fmt::Debug for Cryptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("blocking::Cryptor").field(&self.cryptor).finish()
    }
}

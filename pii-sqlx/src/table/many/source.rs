//! Where the rows of a bulk job come from.

use std::{ops::Deref, vec};

use futures_core::stream::{BoxStream, Stream};
use futures_util::{StreamExt as _, stream};
use pii_core::{PiiModel, Result};

/// Rows for [`insert_from`](crate::SqlTable::insert_from), [`upsert_from`](crate::SqlTable::upsert_from) and
/// [`update_from`](crate::SqlTable::update_from): any iterator or stream of owned models, or of results.
///
/// `Kind` tells the two apart and is found by the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no source of rows of `{M}`",
    label = "needs an iterator or a stream of owned models, or of `pii::Result`s of them, that is `Send`",
    note = "for references use `insert_many`, `upsert_many` or `update_many`"
)]
pub trait BulkSource<'a, M, Kind> {
    #[doc(hidden)]
    fn into_rows(self) -> BoxStream<'a, Result<M>>;
}

/// The kind of a source that is an iterator.
#[derive(Debug)]
pub enum Iterated {}

/// The kind of a source that is a stream.
#[derive(Debug)]
pub enum Streamed {}

impl<'a, M, I> BulkSource<'a, M, Iterated> for I
where
    I: IntoIterator<Item: BulkRow<M> + 'a, IntoIter: Send + 'a>,
    M: 'a,
{
    fn into_rows(self) -> BoxStream<'a, Result<M>> {
        stream::iter(self.into_iter().map(BulkRow::into_row)).boxed()
    }
}

impl<'a, M, S> BulkSource<'a, M, Streamed> for S
where
    S: Stream<Item: BulkRow<M>> + Send + 'a,
    M: 'a,
{
    fn into_rows(self) -> BoxStream<'a, Result<M>> {
        self.map(BulkRow::into_row).boxed()
    }
}

/// What a [`BulkSource`] gives: a model, or a result, whose error ends the job.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no row of `{M}`",
    label = "needs an owned model, or a `pii::Result` of one"
)]
pub trait BulkRow<M> {
    #[doc(hidden)]
    fn into_row(self) -> Result<M>;
}

impl<M: PiiModel> BulkRow<M> for M {
    fn into_row(self) -> Result<M> {
        Ok(self)
    }
}

impl<M: PiiModel> BulkRow<M> for Result<M> {
    fn into_row(self) -> Result<M> {
        self
    }
}

/// The rows that are still to be written.
pub(super) enum Rows<'a, M> {
    Given(vec::IntoIter<&'a M>),
    Coming { rows: BoxStream<'a, Result<M>>, is_over: bool },
}

impl<'a, M> Rows<'a, M> {
    pub(super) fn given(models: impl IntoIterator<Item = &'a M>) -> Self {
        Self::Given(models.into_iter().collect::<Vec<_>>().into_iter())
    }

    pub(super) fn coming(rows: BoxStream<'a, Result<M>>) -> Self {
        Self::Coming { rows, is_over: false }
    }

    /// Those that are known ahead.
    pub(super) fn known(&self) -> &[&'a M] {
        match self {
            Self::Given(rows) => rows.as_slice(),
            Self::Coming { .. } => &[],
        }
    }

    /// Whether it is known that none is left.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Given(rows) => rows.as_slice().is_empty(),
            Self::Coming { is_over, .. } => *is_over,
        }
    }

    /// Up to this many; none at the end.
    pub(super) async fn next(&mut self, count: usize) -> Result<Vec<Row<'a, M>>> {
        match self {
            Self::Given(rows) => Ok(rows.by_ref().take(count).map(Row::Given).collect()),
            Self::Coming { is_over: true, .. } => Ok(Vec::new()),
            Self::Coming { rows, is_over } => {
                let mut chunk = Vec::new();
                while chunk.len() < count {
                    match rows.next().await {
                        Some(row) => chunk.push(Row::Owned(row?)),
                        None => {
                            *is_over = true;
                            break;
                        }
                    }
                }
                Ok(chunk)
            }
        }
    }
}

/// A model of the caller's, or one that came for this job.
pub(super) enum Row<'a, M> {
    Given(&'a M),
    Owned(M),
}

impl<M> Deref for Row<'_, M> {
    type Target = M;

    fn deref(&self) -> &M {
        match self {
            Self::Given(model) => model,
            Self::Owned(model) => model,
        }
    }
}

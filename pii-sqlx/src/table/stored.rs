//! A row with its texts as they are stored.

use std::{
    fmt,
    future::IntoFuture,
    ops::{Deref, DerefMut},
};

use futures_core::future::BoxFuture;
use pii_core::Result;
use sqlx::{Database, FromRow};
use zeroize::Zeroizing;

use super::{Get, SqlTable, failed};
use crate::{dialect::Dialect, model::SqlModel};

/// A row with the texts of its sealed columns as they are stored, so that they can be
/// [swapped](SqlTable::swap) for others; made by [`Get::stored`].
///
/// It is the model: its fields are read and changed as they are there.
pub struct Stored<M> {
    pub(super) model: M,
    pub(super) texts: Texts,
}

/// The texts of the sealed columns of a row in their order; plaintext, where it was stored.
pub(crate) type Texts = Vec<Option<Zeroizing<String>>>;

/// Many rows, apart from their texts.
pub(crate) struct Rows<M> {
    pub(crate) models: Vec<M>,
    pub(crate) texts: Vec<Texts>,
}

impl<M> Default for Rows<M> {
    fn default() -> Self {
        Self { models: Vec::new(), texts: Vec::new() }
    }
}

impl<M> FromIterator<(M, Texts)> for Rows<M> {
    fn from_iter<I: IntoIterator<Item = (M, Texts)>>(rows: I) -> Self {
        let (models, texts) = rows.into_iter().unzip();
        Self { models, texts }
    }
}

impl<M> Stored<M> {
    /// The model alone.
    #[must_use]
    pub fn into_model(self) -> M {
        self.model
    }
}

impl<M> Deref for Stored<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.model
    }
}

impl<M> DerefMut for Stored<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.model
    }
}

impl<M: fmt::Debug> fmt::Debug for Stored<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.model.fmt(f)
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// The texts of the sealed columns of a row that has all columns in their order.
    pub(crate) fn texts_of(row: &DB::Row) -> Result<Texts> {
        let sealed = M::COLUMNS.iter().enumerate().filter(|(_, column)| column.kind.is_sealed());
        sealed.map(|(index, _)| Ok(DB::text(row, index).map_err(failed::<M>)?.map(Zeroizing::new))).collect()
    }
}

/// A SELECT of one row that keeps its texts; made by [`Get::stored`].
#[must_use = "nothing is read before this is awaited"]
pub struct GetStored<'a, M: SqlModel<DB>, DB: Database>(Get<'a, M, DB>);

impl<'a, M: SqlModel<DB>, DB: Dialect> GetStored<'a, M, DB> {
    pub(super) fn new(get: Get<'a, M, DB>) -> Self {
        Self(get)
    }

    /// Runs on this transaction or connection.
    pub fn on(self, connection: &'a mut DB::Connection) -> Self {
        Self(self.0.on(connection))
    }
}

impl<'a, M, DB> IntoFuture for GetStored<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<Stored<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let (model, texts) = self.0.run_keeping(SqlTable::<M, DB>::texts_of).await??;
            Ok(Stored { model, texts })
        })
    }
}

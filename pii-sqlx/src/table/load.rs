//! From rows of the database to models.

use pii_core::{FieldSelection, Result};
use sqlx::FromRow;

use super::{SqlTable, failed};
use crate::{dialect::Dialect, error, model::SqlModel};

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    /// Refuses what would be refused for every row, before the database is asked for any.
    pub(super) async fn check(&self, fields: &FieldSelection) -> Result<()> {
        self.cryptor.open_each::<M>(&mut [], fields).await.map(drop).map_err(error::of::<M>)
    }

    pub(crate) fn decode(row: &DB::Row) -> Result<M> {
        M::from_row(row).map_err(failed::<M>)
    }

    /// Opens chosen fields; all values get their place, and stored plaintext meets its policy.
    pub(super) async fn admit(&self, models: &mut [M], fields: &FieldSelection) -> Result<()> {
        let opening = self.cryptor.open_each(models, fields).await.map_err(error::of::<M>)?;
        opening.into_iter().collect()
    }
}

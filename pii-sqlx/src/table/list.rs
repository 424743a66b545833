//! All rows.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Cryptor, FieldSelection, Result};
use sqlx::{Database, FromRow};

use super::{SqlTable, failed};
use crate::{dialect::Dialect, model::SqlModel};

/// A SELECT of all rows; made by [`SqlTable::list`].
#[must_use = "nothing is read before this is awaited"]
pub struct List<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    fields: FieldSelection,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> List<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>) -> Self {
        Self { table, fields: FieldSelection::Nothing, connection: None }
    }

    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        (self.table.cryptor.clone(), Self { fields: FieldSelection::Nothing, ..self })
    }
}

impl<M, DB> List<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    async fn run(self) -> Result<Vec<M>> {
        let Self { table, fields, connection } = self;
        table.check(&fields).await?;
        let mut statement = table.select()?;
        let ids = || M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name);
        if ids().next().is_some() {
            statement.push(" ORDER BY ");
            statement.push_names(ids());
        }
        let rows = {
            let mut connection = table.connection(connection).await?;
            DB::fetch(&mut connection, statement.finish()).await.map_err(failed::<M>)?
        };
        let mut models = rows.iter().map(SqlTable::<M, DB>::decode).collect::<Result<Vec<M>>>()?;
        drop(rows);
        table.admit(&mut models, &fields).await?;
        Ok(models)
    }
}

impl<'a, M, DB> IntoFuture for List<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

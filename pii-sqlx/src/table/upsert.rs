//! A row that is new or changed.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result};
use sqlx::Database;

use super::{SqlTable, failed, no_id, update::version_of};
use crate::{
    dialect::{Dialect, Upsert as UpsertColumns, Upserted},
    model::{SqlColumn, SqlModel},
};

/// An INSERT or UPDATE of one row; made by [`SqlTable::upsert`].
#[must_use = "nothing is written before this is awaited"]
pub struct Upsert<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    model: &'a M,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Upsert<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, model: &'a M) -> Self {
        Self { table, model, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> Upsert<'_, M, DB> {
    async fn run(self) -> Result<()> {
        let Self { table, model, connection } = self;
        let mut row = table.seal_one(model).await?;
        let insert = table.insert_into(DB::UPSERT_ALIAS, &mut row)?;
        let scope = table.scope_columns()?;
        let mut statement = insert.duplicate();
        DB::push_upsert(&mut statement, &columns::<M, DB>(&scope)?);
        let mut connection = table.connection(connection).await?;
        let upserted = connection.upsert(statement, insert);
        let is_outside = match upserted.await.map_err(failed::<M>)? {
            Upserted::Written => false,
            Upserted::LeftAlone => !scope.is_empty(),
            Upserted::Refused(_)
                if !scope.is_empty() && table.exists(model, false, &mut connection).await? =>
            {
                true
            }
            Upserted::Refused(error) => return Err(failed::<M>(error)),
        };
        if is_outside {
            return Err(Error::new(ErrorKind::ContextMismatch)
                .model(M::MODEL.name())
                .row(table.written(|out| model.write_own_id(out)))
                .message("the row that has this id is outside the scope of the cryptor"));
        }
        Ok(())
    }
}

fn columns<'a, M: SqlModel<DB>, DB: Dialect>(scope: &'a [&'static str]) -> Result<UpsertColumns<'a>> {
    let (ids, others): (Vec<_>, Vec<_>) = M::COLUMNS.iter().partition(|column| column.kind.is_id());
    if ids.is_empty() {
        return Err(no_id::<M>());
    }
    let names = |columns: Vec<&SqlColumn>| columns.into_iter().map(|column| column.name).collect();
    Ok(UpsertColumns { ids: names(ids), others: names(others), version: version_of::<M, DB>(), scope })
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for Upsert<'a, M, DB> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! A row whose id or encryption context changes.

use std::{future::IntoFuture, slice};

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, FieldSelection, Result, SealedTexts};
use sqlx::{Database, FromRow};

use super::{
    SqlTable, failed, indexes,
    update::{push_next_version, version_of},
};
use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
};

/// A row that is sealed anew in another place; made by [`SqlTable::move_row`].
#[must_use = "nothing is moved before this is awaited"]
pub struct MoveRow<'a, M: SqlModel<DB>, DB: Database, F> {
    table: &'a SqlTable<M, DB>,
    id: M::Id,
    change: F,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M, DB, F> MoveRow<'a, M, DB, F>
where
    M: SqlModel<DB>,
    DB: Dialect,
{
    pub(super) fn new(table: &'a SqlTable<M, DB>, id: M::Id, change: F) -> Self {
        Self { table, id, change, connection: None }
    }

    /// Runs on this transaction or connection, in a savepoint. Keys that are not at hand are asked for
    /// while your transaction is open.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M, DB, F> MoveRow<'_, M, DB, F>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
    F: Fn(&mut M) + Send + Sync,
{
    async fn run(self) -> Result<()> {
        let Self { table, id, change, connection } = self;
        table.name()?;
        if M::MODEL.is_view() {
            return Err(error::of::<M>(Error::new(ErrorKind::Configuration))
                .message("a view has a part of the row only: what it lacks would stay bound to the old place")
                .help("move the row with the model itself"));
        }
        table.check(&FieldSelection::All).await?;
        if connection.is_none() {
            // keys are asked for before the transaction, which finds them at hand
            let rows = {
                let mut connection = table.connection(None).await?;
                connection.fetch(table.select_stored(&id, "")?).await.map_err(failed::<M>)?
            };
            let model = table.stored(&id, &rows)?;
            drop(rows);
            table.moved(&id, model, &change).await?;
        }
        let mut connection = table.connection(connection).await?;
        let mut tx = connection.begin().await.map_err(failed::<M>)?;
        let moved = match table.move_locked(&id, &change, &mut tx).await {
            Ok(()) => tx.commit().await.map_err(failed::<M>),
            Err(error) => {
                // the first error is the one to tell; a connection that is lost rolls back anyway
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        moved
    }
}

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// Reads the row again, so that nothing that was changed meanwhile is lost, and writes it.
    async fn move_locked<F>(&self, id: &M::Id, change: &F, connection: &mut DB::Connection) -> Result<()>
    where
        F: Fn(&mut M) + Send + Sync,
    {
        let select = self.select_stored(id, DB::LOCK_ROWS)?;
        let rows = DB::fetch(connection, select.finish()).await.map_err(failed::<M>)?;
        let model = self.stored(id, &rows)?;
        drop(rows);
        let (model, texts) = self.moved(id, model, change).await?;
        let statement = self.set_all(id, &model, texts)?;
        match DB::execute(connection, statement.finish()).await.map_err(failed::<M>)? {
            0 => Err(self.not_written(&self.written(|out| M::write_id(id, out)))),
            _ => Ok(()),
        }
    }

    /// What reads the row.
    fn select_stored(&self, id: &M::Id, lock: &str) -> Result<Statement<DB>> {
        let mut statement = self.select()?;
        self.push_where(&mut statement, Part::ExactId, |binder| M::bind_id(id, binder))?;
        self.push_scope(&mut statement)?;
        statement.push(lock);
        Ok(statement)
    }

    /// The row as it is stored.
    fn stored(&self, id: &M::Id, rows: &[DB::Row]) -> Result<M> {
        let wanted = self.written(|out| M::write_id(id, out));
        let row = rows.first().ok_or_else(|| self.not_written(&wanted))?;
        let model = Self::decode(row).map_err(|error| error.row(&wanted))?;
        if self.written(|out| model.write_own_id(out)) != wanted {
            return Err(error::of::<M>(Error::new(ErrorKind::Integrity))
                .row(wanted)
                .message("the database gave a row with another id"));
        }
        Ok(model)
    }

    /// The row opened, changed, and sealed where it goes.
    async fn moved<F>(&self, id: &M::Id, mut model: M, change: &F) -> Result<(M, Option<SealedTexts>)>
    where
        F: Fn(&mut M) + Send + Sync,
    {
        let located = |error: Error| error.row(self.written(|out| M::write_id(id, out)));
        self.admit(slice::from_mut(&mut model), &FieldSelection::All).await.map_err(located)?;
        model.reseal().map_err(|error| {
            located(error).message("a row can be moved by those who may read all of its sealed values")
        })?;
        change(&mut model);
        let texts = self.cryptor.seal_texts([&model]).await.map_err(error::of::<M>)?.pop();
        Ok((model, texts))
    }

    /// `UPDATE "t" SET "id" = $1, "a" = $2, "version" = "version" + 1 WHERE "id" = $3`
    fn set_all(&self, id: &M::Id, model: &M, mut texts: Option<SealedTexts>) -> Result<Statement<DB>> {
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        let part = Part::AllAssignments;
        let entries = texts.as_ref().map(|texts| texts.indexes().to_vec()).unwrap_or_default();
        let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, part, texts.as_mut())
            .within(self.limits.as_ref());
        model.bind_columns(&mut binder);
        let is_begun = binder.finish()?.anything;
        indexes::push_assignments::<M, DB>(&mut statement, &entries, is_begun)?;
        if let Some(version) = version_of::<M, DB>() {
            statement.push(", ");
            push_next_version(&mut statement, version);
        }
        self.push_where(&mut statement, Part::ExactId, |binder| M::bind_id(id, binder))?;
        self.push_scope(&mut statement)?;
        Ok(statement)
    }
}

impl<'a, M, DB, F> IntoFuture for MoveRow<'a, M, DB, F>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
    F: Fn(&mut M) + Send + Sync + 'a,
{
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! A changed row.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result, SealedTexts};
use sqlx::Database;

use super::{SqlTable, failed, indexes};
use crate::{
    binder::{Binder, Part},
    connection::Connection,
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
};

/// An UPDATE of one row; made by [`SqlTable::update`].
#[must_use = "nothing is updated before this is awaited"]
pub struct Update<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    model: &'a M,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Update<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, model: &'a M) -> Self {
        Self { table, model, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> Update<'_, M, DB> {
    async fn run(self) -> Result<()> {
        let Self { table, model, connection } = self;
        table.name()?;
        let mut texts = table.cryptor.seal_changes([model]).await.map_err(error::of::<M>)?.pop();
        let compares = version_of::<M, DB>().is_some()
            || texts.as_ref().is_some_and(|texts| !indexes::kept::<M, DB>(texts.indexes()).is_empty());
        let statement = table.set(model, texts.as_mut())?;
        let mut connection = table.connection(connection).await?;
        let updated = connection.execute(statement).await.map_err(failed::<M>)?;
        if updated > 0 {
            return Ok(());
        }
        let id = table.written(|out| model.write_own_id(out));
        if !compares || !table.exists(model, true, &mut connection).await? {
            return Err(table.not_written(&id));
        }
        Err(table.conflict(model))
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// `UPDATE "t" SET "a" = $1, "version" = "version" + 1 WHERE "id" = $2 AND "a" = $3 AND "version" = $4`
    pub(super) fn set(&self, model: &M, texts: Option<&mut SealedTexts>) -> Result<Statement<DB>> {
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        let entries = texts.as_ref().map(|texts| texts.indexes().to_vec()).unwrap_or_default();
        let kept = indexes::kept::<M, DB>(&entries);
        let mut kept_texts = texts.as_deref().filter(|_| !kept.is_empty()).cloned();
        let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Assignments, texts)
            .within(self.limits.as_ref());
        model.bind_columns(&mut binder);
        let sets_data = binder.finish()?.anything;
        let sets_data = indexes::push_assignments::<M, DB>(&mut statement, &entries, sets_data)?;
        let version = version_of::<M, DB>();
        if let Some(name) = version {
            if sets_data {
                statement.push(", ");
            }
            push_next_version(&mut statement, name);
        } else if !sets_data {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model has no column to update but its id"));
        }
        statement.push(" WHERE ");
        self.push_unchanged(&mut statement, model, &kept, kept_texts.as_mut())?;
        Ok(statement)
    }

    /// Appends `"id" = $2 AND "a" = $3 AND "version" = $4`: the row, as far as it is still what the model was
    /// loaded from.
    pub(super) fn push_unchanged(
        &self,
        statement: &mut Statement<DB>,
        model: &M,
        kept: &[&'static str],
        kept_texts: Option<&mut SealedTexts>,
    ) -> Result<()> {
        self.push_condition(statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
        self.push_scope_of(statement, model)?;
        if let Some(texts) = kept_texts {
            statement.push(" AND ");
            let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::Named(kept), Some(texts));
            model.bind_columns(&mut binder);
            binder.finish()?;
        }
        if version_of::<M, DB>().is_some() {
            push_version(statement, model)?;
        }
        Ok(())
    }

    /// That someone else was faster.
    pub(super) fn conflict(&self, model: &M) -> Error {
        Error::new(ErrorKind::Conflict)
            .model(M::MODEL.name())
            .row(self.written(|out| model.write_own_id(out)))
            .message(match version_of::<M, DB>() {
                Some(_) => "the row has another version than the model",
                None => "a value that has a blind index was changed since the row was loaded",
            })
            .help("load the row, make the change again and save it")
    }

    /// Whether there is a row with the id of this model, in the scope or anywhere.
    pub(super) async fn exists(
        &self,
        model: &M,
        in_scope: bool,
        connection: &mut Connection<'_, DB>,
    ) -> Result<bool> {
        let statement = self.select_one(model, in_scope)?;
        let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
        Ok(!rows.is_empty())
    }

    /// Whether the row is there, in the scope, with the version of the model.
    pub(super) async fn has_version(&self, model: &M, connection: &mut Connection<'_, DB>) -> Result<bool> {
        let mut statement = self.select_one(model, true)?;
        push_version(&mut statement, model)?;
        let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
        Ok(!rows.is_empty())
    }

    fn select_one(&self, model: &M, in_scope: bool) -> Result<Statement<DB>> {
        let mut statement = Statement::new("SELECT 1 FROM ");
        statement.push(self.name()?);
        self.push_where(&mut statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
        if in_scope {
            self.push_scope_of(&mut statement, model)?;
        }
        Ok(statement)
    }
}

/// Appends ` AND "version" = $3`.
fn push_version<M: SqlModel<DB>, DB: Dialect>(statement: &mut Statement<DB>, model: &M) -> Result<()> {
    statement.push(" AND ");
    let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::Version, None);
    model.bind_columns(&mut binder);
    binder.finish().map(drop)
}

/// Appends `"version" = "version" + 1`.
pub(super) fn push_next_version<DB: Dialect>(statement: &mut Statement<DB>, version: &str) {
    statement.push_name(version);
    statement.push(" = ");
    statement.push_name(version);
    statement.push(" + 1");
}

/// The name of the version column.
pub(super) fn version_of<M: SqlModel<DB>, DB: Database>() -> Option<&'static str> {
    M::COLUMNS.iter().find(|column| column.kind.is_version()).map(|column| column.name)
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for Update<'a, M, DB> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

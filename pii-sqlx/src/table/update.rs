//! A changed row.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result, SealedTexts};
use sqlx::Database;

use super::{SqlTable, failed};
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
        let texts = table.cryptor.seal_texts([model]).await.map_err(error::of::<M>)?.pop();
        let statement = table.set(model, texts)?;
        let mut connection = table.connection(connection).await?;
        let updated = connection.execute(statement).await.map_err(failed::<M>)?;
        if updated > 0 {
            return Ok(());
        }
        let id = table.written(|out| model.write_own_id(out));
        if version_of::<M, DB>().is_none() || !table.exists(model, true, &mut connection).await? {
            return Err(table.not_written(&id));
        }
        Err(Error::new(ErrorKind::Conflict)
            .model(M::MODEL.name())
            .row(id)
            .message("the row has another version than the model")
            .help("load the row, make the change again and save it"))
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// `UPDATE "t" SET "a" = $1, "version" = "version" + 1 WHERE "id" = $2 AND "version" = $3`
    fn set(&self, model: &M, mut texts: Option<SealedTexts>) -> Result<Statement<DB>> {
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Assignments, texts.as_mut())
            .within(self.limits.as_ref());
        model.bind_columns(&mut binder);
        let sets_data = binder.finish()?.anything;
        let version = version_of::<M, DB>();
        if let Some(name) = version {
            if sets_data {
                statement.push(", ");
            }
            statement.push_name(name);
            statement.push(" = ");
            statement.push_name(name);
            statement.push(" + 1");
        } else if !sets_data {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model has no column to update but its id"));
        }
        self.push_where(&mut statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
        self.push_scope_of(&mut statement, model)?;
        if version.is_some() {
            statement.push(" AND ");
            let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Version, None);
            model.bind_columns(&mut binder);
            binder.finish()?;
        }
        Ok(statement)
    }

    /// Whether there is a row with the id of this model, in the scope or anywhere.
    pub(super) async fn exists(
        &self,
        model: &M,
        in_scope: bool,
        connection: &mut Connection<'_, DB>,
    ) -> Result<bool> {
        let mut statement = Statement::new("SELECT 1 FROM ");
        statement.push(self.name()?);
        self.push_where(&mut statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
        if in_scope {
            self.push_scope_of(&mut statement, model)?;
        }
        let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
        Ok(!rows.is_empty())
    }
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

//! A row that is new or changed.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result};
use sqlx::Database;

use super::{SqlTable, failed, no_id, update::version_of};
use crate::{dialect::Dialect, model::SqlModel, statement::Statement};

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
        let mut rows = self.table.seal(vec![self.model]).await?;
        let mut statement = self.table.insert_into(" AS pii_stored", &mut rows)?;
        let scope = self.table.scope_columns()?;
        push_on_conflict::<M, DB>(&mut statement, &scope)?;
        let mut connection = self.table.connection(self.connection).await?;
        let written = DB::execute(&mut connection, statement.finish()).await.map_err(failed::<M>)?;
        if written == 0 && !scope.is_empty() {
            return Err(self.table.outside_scope(self.model));
        }
        Ok(())
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// That an upsert met the row of someone else.
    pub(super) fn outside_scope(&self, model: &M) -> Error {
        Error::new(ErrorKind::ContextMismatch)
            .model(M::MODEL.name())
            .row(self.written(|out| model.write_own_id(out)))
            .message("the row that has this id is outside the scope of the cryptor")
    }
}

/// ` ON CONFLICT ("id") DO UPDATE SET "a" = excluded."a", "version" = pii_stored."version" + 1`
/// and ` WHERE pii_stored."tenant" = excluded."tenant"` for columns of the scope.
pub(super) fn push_on_conflict<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    scope: &[&'static str],
) -> Result<()> {
    let ids = || M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name);
    if ids().next().is_none() {
        return Err(no_id::<M>());
    }
    statement.push(" ON CONFLICT (");
    statement.push_names(ids());
    statement.push(") DO ");
    let changed = || M::COLUMNS.iter().filter(|column| !column.kind.is_id());
    if changed().next().is_none() {
        statement.push("NOTHING");
        return Ok(());
    }
    statement.push("UPDATE SET ");
    let version = version_of::<M, DB>();
    statement.push_each(changed().map(|column| column.name), |statement, name| {
        statement.push_name(name);
        statement.push(" = ");
        if Some(name) == version {
            statement.push("pii_stored.");
            statement.push_name(name);
            statement.push(" + 1");
        } else {
            statement.push("excluded.");
            statement.push_name(name);
        }
    });
    for (index, name) in scope.iter().enumerate() {
        statement.push(if index > 0 { " AND " } else { " WHERE " });
        statement.push("pii_stored.");
        statement.push_name(name);
        statement.push(" = excluded.");
        statement.push_name(name);
    }
    Ok(())
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for Upsert<'a, M, DB> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

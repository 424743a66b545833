//! A row that goes.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::Result;
use sqlx::Database;

use super::{SqlTable, failed};
use crate::{binder::Part, dialect::Dialect, model::SqlModel, statement::Statement};

/// A DELETE of one row; made by [`SqlTable::delete`].
#[must_use = "nothing is deleted before this is awaited"]
pub struct Delete<'a, M: SqlModel<DB>, DB: Database> {
    table: &'a SqlTable<M, DB>,
    id: M::Id,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Delete<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, id: M::Id) -> Self {
        Self { table, id, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    async fn run(self) -> Result<()> {
        let Self { table, id, connection } = self;
        let mut statement = Statement::new("DELETE FROM ");
        statement.push(table.name()?);
        table.push_where(&mut statement, Part::ExactId, |binder| M::bind_id(&id, binder))?;
        table.push_scope(&mut statement)?;
        let mut connection = table.connection(connection).await?;
        match connection.execute(statement).await.map_err(failed::<M>)? {
            0 => Err(table.not_written(&table.written(|out| M::write_id(&id, out)))),
            _ => Ok(()),
        }
    }
}

impl<'a, M: SqlModel<DB>, DB: Dialect> IntoFuture for Delete<'a, M, DB> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

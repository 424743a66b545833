//! Many new rows, all of them or none.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::Result;
use sqlx::{Connection as _, Database};

use super::{SqlTable, failed, rows::NewRow};
use crate::{dialect::Dialect, model::SqlModel};

/// An INSERT of many rows; made by [`SqlTable::insert_many`].
#[must_use = "nothing is inserted before this is awaited"]
pub struct InsertMany<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    models: Vec<&'a M>,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> InsertMany<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, models: Vec<&'a M>) -> Self {
        Self { table, models, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> InsertMany<'_, M, DB> {
    async fn run(self) -> Result<u64> {
        let Self { table, models, connection } = self;
        if models.is_empty() {
            return Ok(0);
        }
        let mut rows = table.seal(models).await?;
        let mut batches = batches::<M, DB>(&mut rows);
        if let [batch] = batches.as_mut_slice() {
            let statement = table.insert_into("", batch)?.once();
            let mut connection = table.connection(connection).await?;
            return DB::execute(&mut connection, statement.into_query()).await.map_err(failed::<M>);
        }
        let mut connection = table.connection(connection).await?;
        // a savepoint, where a transaction is open
        let mut tx = connection.begin().await.map_err(failed::<M>)?;
        match table.insert_batches(&mut tx, batches).await {
            Ok(inserted) => {
                tx.commit().await.map_err(failed::<M>)?;
                Ok(inserted)
            }
            Err(error) => {
                // the first error is the one to tell; a connection that is lost rolls back anyway
                let _ = tx.rollback().await;
                Err(error)
            }
        }
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    async fn insert_batches(
        &self,
        connection: &mut DB::Connection,
        batches: Vec<&mut [NewRow<'_, M>]>,
    ) -> Result<u64> {
        let mut inserted = 0;
        for batch in batches {
            let statement = self.insert_into("", batch)?.once();
            inserted += DB::execute(connection, statement.into_query()).await.map_err(failed::<M>)?;
        }
        Ok(inserted)
    }
}

/// Neighbours that omit the same columns, as many as fit in one statement. The order of the rows stays,
/// because ids are made up in it.
fn batches<'b, 'a, M: SqlModel<DB>, DB: Dialect>(
    rows: &'b mut [NewRow<'a, M>],
) -> Vec<&'b mut [NewRow<'a, M>]> {
    rows.chunk_by_mut(NewRow::is_like)
        .flat_map(|run| run.chunks_mut(SqlTable::<M, DB>::rows_per_statement()))
        .collect()
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for InsertMany<'a, M, DB> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

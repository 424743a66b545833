//! The table itself, and how statements run.

use pii_core::Result;
use sqlx::pool::PoolConnection;

use super::{SqlKeyStore, database::Trouble, statements};
use crate::{
    connection::{Beginning, Connection},
    dialect::Dialect,
    statement::Statement,
};

impl<DB: Dialect> SqlKeyStore<DB> {
    /// The statement that creates the table, for a migration. It does nothing where the table exists.
    ///
    /// ```
    /// use pii::{Dialect, SqlKeyStore};
    /// use sqlx::Pool;
    ///
    /// fn migration<DB: Dialect>(pool: &Pool<DB>) -> pii::Result<String> {
    ///     Ok(SqlKeyStore::connect_like(pool)?.ddl())
    /// }
    /// ```
    #[must_use]
    pub fn ddl(&self) -> String {
        statements::create::<DB>(&self.table).into_sql()
    }

    /// Creates the table if it does not exist, also when several processes do so at once. Where it exists,
    /// permission to read it is enough.
    ///
    /// # Errors
    /// [`KeyUnavailable`](pii_core::ErrorKind::KeyUnavailable) if the database can't be reached, or if
    /// there is a table of this name with other columns; [`KeyDenied`](pii_core::ErrorKind::KeyDenied)
    /// without permission.
    pub async fn create_table(&self) -> Result<()> {
        let Err(error) = self.run(statements::probe(&self.table)).await else { return Ok(()) };
        let trouble = error.as_database_error().and_then(|error| DB::trouble(error));
        if trouble != Some(Trouble::NoTable) {
            return Err(self.failed(error));
        }
        let locks = DB::BEFORE_CREATE.iter().map(|lock| Statement::new(lock).once());
        let statements = locks.chain([statements::create(&self.table)]).collect();
        self.commit(statements).await.map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Reads rows.
    pub(super) async fn fetch(&self, statement: Statement<DB>) -> Result<Vec<DB::Row>> {
        self.run(statement).await.map_err(|error| self.failed(error))
    }

    /// Runs a statement in a transaction of its own and says how many rows it touched. When this returns
    /// they are on the disk.
    pub(super) async fn write(&self, statement: Statement<DB>) -> sqlx::Result<u64> {
        self.commit(vec![statement]).await
    }

    async fn run(&self, statement: Statement<DB>) -> sqlx::Result<Vec<DB::Row>> {
        let mut connection = self.acquire().await?;
        DB::fetch(&mut connection, statement.finish()).await
    }

    async fn commit(&self, statements: Vec<Statement<DB>>) -> sqlx::Result<u64> {
        let mut connection = self.acquire().await?;
        for setting in DB::BEFORE_BEGIN {
            DB::fetch(&mut connection, Statement::new(setting).finish()).await?;
        }
        let mut beginning = Beginning::on(Connection::Pooled(connection));
        let mut tx = beginning.begin_with(DB::BEGIN).await?;
        for setting in DB::AFTER_BEGIN {
            DB::fetch(&mut tx, Statement::new(setting).finish()).await?;
        }
        let mut touched = 0;
        for statement in statements {
            touched = DB::execute(&mut tx, statement.finish()).await?;
        }
        tx.commit().await?;
        Ok(touched)
    }

    async fn acquire(&self) -> sqlx::Result<PoolConnection<DB>> {
        self.pool().acquire().await
    }
}

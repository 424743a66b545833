//! The table itself, and how statements run.

use pii_core::Result;

use super::{SqlKeyStore, database::Trouble, statements};
use crate::{connection::Connection, dialect::Dialect, statement::Statement};

/// How often a statement runs that a deadlock stops.
const TRIES: usize = 5;

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
        if trouble::<DB>(&error) != Some(Trouble::NoTable) {
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
        for _ in 1..TRIES {
            match self.commit(vec![statement.duplicate()]).await {
                Err(error) if trouble::<DB>(&error) == Some(Trouble::Deadlock) => {}
                done => return done,
            }
        }
        self.commit(vec![statement]).await
    }

    async fn run(&self, statement: Statement<DB>) -> sqlx::Result<Vec<DB::Row>> {
        let mut connection = self.connection().await?;
        for setting in DB::BEFORE_READ {
            connection.fetch(Statement::new(setting)).await?;
        }
        connection.fetch(statement).await
    }

    async fn commit(&self, statements: Vec<Statement<DB>>) -> sqlx::Result<u64> {
        let mut connection = self.connection().await?;
        for setting in DB::BEFORE_BEGIN {
            connection.fetch(Statement::new(setting)).await?;
        }
        let mut tx = connection.begin_with(DB::BEGIN).await?;
        let done = match Self::run_in(&mut tx, statements).await {
            Ok(touched) => tx.commit().await.map(|()| touched),
            Err(error) => {
                // the first error is the one to tell; a connection that is lost rolls back anyway
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        done
    }

    /// Says how many rows the last statement touched.
    async fn run_in(tx: &mut DB::Connection, statements: Vec<Statement<DB>>) -> sqlx::Result<u64> {
        for setting in DB::AFTER_BEGIN {
            DB::fetch(tx, Statement::new(setting).finish()).await?;
        }
        let mut touched = 0;
        for statement in statements {
            touched = DB::execute(tx, statement.finish()).await?;
        }
        Ok(touched)
    }

    async fn connection(&self) -> sqlx::Result<Connection<'_, DB>> {
        Ok(Connection::pooled(self.pool().acquire().await?))
    }
}

fn trouble<DB: Dialect>(error: &sqlx::Error) -> Option<Trouble> {
    error.as_database_error().and_then(|error| DB::trouble(error))
}

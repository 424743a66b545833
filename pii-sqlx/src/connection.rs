//! The connection that a statement runs on.

use futures_core::future::BoxFuture;
use sqlx::{Connection as _, Database, Pool, SqlStr, Transaction, pool::PoolConnection};

use crate::{
    dialect::{Dialect, Upserted},
    statement::Statement,
};

/// One that the caller gave, or one of the pool, which goes back to it when this is dropped.
///
/// One of the pool is closed instead where a call was given up midway and sqlx would put it back in a state
/// in which it does harm: with a transaction open on the server, or with answers that nobody reads.
pub(crate) struct Connection<'a, DB: Dialect> {
    place: Place<'a, DB>,
    does_harm: bool,
}

/// Where the rows of a stream come from.
pub enum Source<'a, DB: Database> {
    Given(&'a mut DB::Connection),
    /// a connection of it, from the first row that is asked for until the stream ends
    Pool(&'a Pool<DB>),
}

enum Place<'a, DB: Database> {
    Given(&'a mut DB::Connection),
    Pooled(PoolConnection<DB>),
}

impl<'a, DB: Dialect> Connection<'a, DB> {
    pub(crate) fn given(connection: &'a mut DB::Connection) -> Self {
        Self { place: Place::Given(connection), does_harm: false }
    }

    pub(crate) fn pooled(connection: PoolConnection<DB>) -> Self {
        Self { place: Place::Pooled(connection), does_harm: false }
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) async fn execute(&mut self, statement: Statement<DB>) -> sqlx::Result<u64> {
        self.call(|connection| DB::execute(connection, statement.finish())).await
    }

    /// Runs a statement and collects its rows.
    pub(crate) async fn fetch(&mut self, statement: Statement<DB>) -> sqlx::Result<Vec<DB::Row>> {
        self.call(|connection| DB::fetch(connection, statement.finish())).await
    }

    /// Runs an upsert of this many rows; `insert` is the same without what is done where the id is taken.
    pub(crate) async fn upsert(
        &mut self,
        statement: Statement<DB>,
        insert: Statement<DB>,
        rows: u64,
    ) -> sqlx::Result<Upserted> {
        self.call(|connection| DB::upsert(connection, statement.finish(), insert.finish(), rows)).await
    }

    /// Lends the connection for several statements. Followed by [`Connection::finished`] when all of their answers
    /// were read.
    pub(crate) fn lend(&mut self) -> &mut DB::Connection {
        self.does_harm = DB::LEAVES_ANSWERS_UNREAD;
        self.inner()
    }

    pub(crate) async fn call<T>(
        &mut self,
        run: impl for<'c> FnOnce(&'c mut DB::Connection) -> BoxFuture<'c, sqlx::Result<T>>,
    ) -> sqlx::Result<T> {
        self.does_harm = DB::LEAVES_ANSWERS_UNREAD;
        let done = run(self.inner()).await;
        self.does_harm = false;
        done
    }

    /// Begins a transaction, or a savepoint where one is open. Every transaction of this crate begins here
    /// or in [`Connection::begin_with`], and ends before [`Connection::finished`].
    pub(crate) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, DB>> {
        self.does_harm = true;
        let Self { place, does_harm } = self;
        let tx = place.inner().begin().await?;
        *does_harm = DB::LEAVES_ANSWERS_UNREAD;
        Ok(tx)
    }

    /// Begins a transaction with a statement of its own.
    pub(crate) async fn begin_with(&mut self, statement: &'static str) -> sqlx::Result<Transaction<'_, DB>> {
        self.does_harm = true;
        let Self { place, does_harm } = self;
        let tx = place.inner().begin_with(SqlStr::from_static(statement)).await?;
        *does_harm = DB::LEAVES_ANSWERS_UNREAD;
        Ok(tx)
    }

    /// Says that the transaction was ended, or what the connection was lent for, and the answer was there.
    pub(crate) fn finished(&mut self) {
        self.does_harm = false;
    }

    fn inner(&mut self) -> &mut DB::Connection {
        self.place.inner()
    }
}

impl<DB: Database> Place<'_, DB> {
    fn inner(&mut self) -> &mut DB::Connection {
        match self {
            Self::Given(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl<DB: Dialect> Drop for Connection<'_, DB> {
    fn drop(&mut self) {
        match &mut self.place {
            Place::Pooled(pooled)
                if self.does_harm && (DB::LEAVES_BEGIN_OPEN || DB::LEAVES_ANSWERS_UNREAD) =>
            {
                pooled.close_on_drop();
            }
            _ => {}
        }
    }
}

//! The connection that a statement runs on.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection as _, Database, Pool, SqlStr, Transaction, pool::PoolConnection};

use crate::dialect::Dialect;

/// One that the caller gave, or one of the pool, which goes back to it when this is dropped.
pub(crate) enum Connection<'a, DB: Database> {
    Given(&'a mut DB::Connection),
    Pooled(PoolConnection<DB>),
}

/// Where the rows of a stream come from.
pub enum Source<'a, DB: Database> {
    Given(&'a mut DB::Connection),
    /// a connection of it, from the first row that is asked for until the stream ends
    Pool(&'a Pool<DB>),
}

/// A connection on which a transaction begins. Every transaction of this crate does so here.
///
/// Where sqlx leaves the transaction of a `begin` that was given up open on the server, a connection of
/// the pool is closed then: put back, it would swallow whatever is written over it later.
pub(crate) struct Beginning<'a, DB: Dialect> {
    connection: Connection<'a, DB>,
    is_on_its_way: bool,
}

impl<'a, DB: Dialect> Beginning<'a, DB> {
    pub(crate) fn on(connection: Connection<'a, DB>) -> Self {
        Self { connection, is_on_its_way: false }
    }

    /// Begins a transaction, or a savepoint where one is open.
    pub(crate) async fn begin(&mut self) -> sqlx::Result<Transaction<'_, DB>> {
        self.is_on_its_way = true;
        let tx = self.connection.begin().await?;
        self.is_on_its_way = false;
        Ok(tx)
    }

    /// Begins a transaction with a statement of its own.
    pub(crate) async fn begin_with(&mut self, statement: &'static str) -> sqlx::Result<Transaction<'_, DB>> {
        self.is_on_its_way = true;
        let tx = self.connection.begin_with(SqlStr::from_static(statement)).await?;
        self.is_on_its_way = false;
        Ok(tx)
    }
}

impl<DB: Dialect> Drop for Beginning<'_, DB> {
    fn drop(&mut self) {
        match &mut self.connection {
            Connection::Pooled(pooled) if DB::LEAVES_BEGIN_OPEN && self.is_on_its_way => {
                pooled.close_on_drop();
            }
            _ => {}
        }
    }
}

impl<DB: Database> Deref for Connection<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        match self {
            Self::Given(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

impl<DB: Database> DerefMut for Connection<'_, DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        match self {
            Self::Given(connection) => connection,
            Self::Pooled(connection) => connection,
        }
    }
}

//! The connection that a statement runs on.

use std::ops::{Deref, DerefMut};

use pii_core::Result;
use sqlx::{Database, pool::PoolConnection};

use super::{SqlTable, failed};
use crate::{dialect::Dialect, model::SqlModel};

/// One that the caller gave, or one of the pool, which goes back to it when this is dropped.
pub(super) enum Connection<'a, DB: Database> {
    Given(&'a mut DB::Connection),
    Pooled(PoolConnection<DB>),
}

/// A connection on which a transaction begins.
///
/// Where sqlx leaves the transaction of a `begin` that was given up open on the server, a connection of
/// the pool is closed then: put back, it would swallow whatever is written over it later.
pub(super) struct Beginning<'a, DB: Dialect> {
    pub(super) connection: Connection<'a, DB>,
    pub(super) has_begun: bool,
}

impl<DB: Dialect> Drop for Beginning<'_, DB> {
    fn drop(&mut self) {
        match &mut self.connection {
            Connection::Pooled(pooled) if DB::LEAVES_BEGIN_OPEN && !self.has_begun => pooled.close_on_drop(),
            _ => {}
        }
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// To be called when everything is sealed, or nothing needs to be.
    pub(super) async fn connection<'a>(
        &self,
        given: Option<&'a mut DB::Connection>,
    ) -> Result<Connection<'a, DB>> {
        match given {
            Some(connection) => Ok(Connection::Given(connection)),
            None => Ok(Connection::Pooled(self.pool.acquire().await.map_err(failed::<M>)?)),
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

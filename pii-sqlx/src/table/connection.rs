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

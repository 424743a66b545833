//! Rows that a filter matches.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Cryptor, Error, ErrorKind, FieldSelection, Filter, Result};
use sqlx::{Database, FromRow};

use super::{SqlTable, failed};
use crate::{dialect::Dialect, model::SqlModel};

/// A SELECT of the rows that a filter matches, in the order of their ids; made by [`SqlTable::find`].
#[must_use = "nothing is read before this is awaited"]
pub struct Matching<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    filter: Filter<M>,
    fields: FieldSelection,
    limit: Option<u32>,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Matching<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, filter: Filter<M>) -> Self {
        Self { table, filter, fields: FieldSelection::Nothing, limit: None, connection: None }
    }

    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// At most so many rows: the first ones.
    pub fn limit(mut self, rows: u32) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        (self.table.cryptor.clone(), Self { fields: FieldSelection::Nothing, ..self })
    }

    /// The one row. None is [`ErrorKind::RowNotFound`], several are [`ErrorKind::SeveralRows`].
    pub fn one(self) -> MatchingOne<'a, M, DB> {
        MatchingOne(self)
    }

    /// The one row, or none. Several are [`ErrorKind::SeveralRows`].
    pub fn optional(self) -> MatchingOptional<'a, M, DB> {
        MatchingOptional(self)
    }
}

impl<M, DB> Matching<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    async fn run(self) -> Result<Vec<M>> {
        let Self { table, filter, fields, limit, connection } = self;
        table.check(&fields).await?;
        let mut statement = table.select()?;
        table.push_filter(&mut statement, filter.condition())?;
        if let Some(limit) = limit
            && !table.columns_tell_scope()?
        {
            return table.first(statement, connection, Some(&fields), limit as usize, |_| true).await;
        }
        SqlTable::<M, DB>::push_order(&mut statement);
        if let Some(limit) = limit {
            statement.push(&format!(" LIMIT {limit}"));
        }
        let rows = {
            let mut connection = table.connection(connection).await?;
            connection.fetch(statement).await.map_err(failed::<M>)?
        };
        let mut models = rows.iter().map(SqlTable::<M, DB>::decode).collect::<Result<Vec<M>>>()?;
        drop(rows);
        table.retain_in_scope(&mut models)?;
        table.admit(&mut models, &fields).await?;
        Ok(models)
    }

    async fn run_optional(mut self) -> Result<Option<M>> {
        // one more tells that there are several
        self.limit = Some(self.limit.map_or(2, |limit| limit.min(2)));
        let mut found = self.run().await?;
        let row = found.pop();
        if found.is_empty() {
            return Ok(row);
        }
        Err(Error::new(ErrorKind::SeveralRows)
            .model(M::MODEL.name())
            .message("the filter matches several rows")
            .help("ask for all of them, or for a limit of one"))
    }
}

impl<'a, M, DB> IntoFuture for Matching<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<Vec<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// A SELECT of the one row that a filter matches; made by [`Matching::one`].
#[must_use = "nothing is read before this is awaited"]
pub struct MatchingOne<'a, M, DB: Database>(Matching<'a, M, DB>);

impl<M: SqlModel<DB>, DB: Dialect> MatchingOne<'_, M, DB> {
    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        let (cryptor, read) = self.0.opening_nothing();
        (cryptor, Self(read))
    }
}

impl<'a, M, DB> IntoFuture for MatchingOne<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let found = self.0.run_optional().await?;
            found.ok_or_else(|| Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()))
        })
    }
}

/// A SELECT of the one row that a filter matches, if there is one; made by [`Matching::optional`].
#[must_use = "nothing is read before this is awaited"]
pub struct MatchingOptional<'a, M, DB: Database>(Matching<'a, M, DB>);

impl<M: SqlModel<DB>, DB: Dialect> MatchingOptional<'_, M, DB> {
    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        let (cryptor, read) = self.0.opening_nothing();
        (cryptor, Self(read))
    }
}

impl<'a, M, DB> IntoFuture for MatchingOptional<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<Option<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.0.run_optional())
    }
}

//! Rows by a blind index.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, FieldSelection, Result, index::IndexSearch};
use sqlx::{Database, FromRow};

use super::{SqlTable, failed, indexes};
use crate::{dialect::Dialect, error, model::SqlModel, statement::Statement};

/// A SELECT of the rows that a search finds; made by [`SqlTable::find`].
#[must_use = "nothing is read before this is awaited"]
pub struct Find<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    search: IndexSearch<M>,
    fields: FieldSelection,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Find<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, search: IndexSearch<M>) -> Self {
        Self { table, search, fields: FieldSelection::Nothing, connection: None }
    }

    /// Opens every field whose mode allows it, and leaves out rows that were found by chance: codes of few
    /// bits are shared by different values. Without it, or where the searched field stays sealed, such rows
    /// are among those found.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed. Rows that were found by chance
    /// are left out if the searched fields are among them.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Runs on this transaction or connection. Index keys that are not at hand are asked for before it is
    /// used.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Whether there is such a row. With an index of few bits it may be there by chance.
    pub fn exists(self) -> Exists<'a, M, DB> {
        Exists(self)
    }

    /// The one row. None is [`ErrorKind::RowNotFound`], several are [`ErrorKind::SeveralRows`].
    pub fn one(self) -> FindOne<'a, M, DB> {
        FindOne(self)
    }

    /// The one row, or none. Several are [`ErrorKind::SeveralRows`].
    pub fn optional(self) -> FindOptional<'a, M, DB> {
        FindOptional(self)
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// ` WHERE ("email_bidx" IN ($1) OR "email_bidx_v2" IN ($2)) AND "tenant" = $3`
    async fn push_search(
        &self,
        mut statement: Statement<DB>,
        search: &IndexSearch<M>,
    ) -> Result<Statement<DB>> {
        let terms = self.cryptor.index_terms(search).await.map_err(error::of::<M>)?;
        statement.push(" WHERE (");
        for (position, term) in terms.iter().enumerate() {
            statement.push(if position > 0 { " OR " } else { "" });
            statement.push_name(term.version.column);
            statement.push(" IN (");
            for (position, text) in term.texts.iter().enumerate() {
                statement.push(if position > 0 { ", " } else { "" });
                indexes::bind::<M, DB>(&mut statement, Some(text.clone()))?;
            }
            statement.push(")");
        }
        statement.push(")");
        self.push_told_scope(&mut statement)?;
        Ok(statement)
    }
}

impl<M, DB> Find<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    async fn run(self) -> Result<Vec<M>> {
        let Self { table, search, fields, connection } = self;
        table.check(&fields).await?;
        let mut statement = table.push_search(table.select()?, &search).await?;
        SqlTable::<M, DB>::push_order(&mut statement);
        let rows = {
            let mut connection = table.connection(connection).await?;
            connection.fetch(statement).await.map_err(failed::<M>)?
        };
        let mut models = rows.iter().map(SqlTable::<M, DB>::decode).collect::<Result<Vec<M>>>()?;
        drop(rows);
        table.retain_in_scope(&mut models)?;
        table.admit(&mut models, &fields).await?;
        models.retain(|model| search.matches(model) != Some(false));
        Ok(models)
    }

    async fn run_optional(self) -> Result<Option<M>> {
        let Self { table, search, fields, connection } = self;
        table.check(&fields).await?;
        let select = table.push_search(table.select()?, &search).await?;
        let is_found = |model: &M| search.matches(model) != Some(false);
        // two tell that there are several
        let mut found = table.first(select, connection, Some(&fields), 2, is_found).await?;
        let one = found.pop();
        if found.is_empty() {
            return Ok(one);
        }
        Err(Error::new(ErrorKind::SeveralRows)
            .model(M::MODEL.name())
            .message("the search finds several rows")
            .help("ask for all of them; if there should be one, give the index `unique` and its column a unique constraint"))
    }
}

impl<'a, M, DB> IntoFuture for Find<'a, M, DB>
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

/// A SELECT of the one row that a search finds; made by [`Find::one`].
#[must_use = "nothing is read before this is awaited"]
pub struct FindOne<'a, M, DB: Database>(Find<'a, M, DB>);

impl<'a, M, DB> IntoFuture for FindOne<'a, M, DB>
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

/// A SELECT of the row that a search finds, if there is one; made by [`Find::optional`].
#[must_use = "nothing is read before this is awaited"]
pub struct FindOptional<'a, M, DB: Database>(Find<'a, M, DB>);

impl<'a, M, DB> IntoFuture for FindOptional<'a, M, DB>
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

/// Whether a search finds a row; made by [`Find::exists`].
#[must_use = "nothing is read before this is awaited"]
pub struct Exists<'a, M, DB: Database>(Find<'a, M, DB>);

impl<M, DB> Exists<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    async fn run(self) -> Result<bool> {
        let Find { table, search, connection, .. } = self.0;
        if !table.columns_tell_scope()? {
            let select = table.push_search(table.select()?, &search).await?;
            return Ok(!table.first(select, connection, None, 1, |_| true).await?.is_empty());
        }
        let mut statement = Statement::new("SELECT 1 FROM ");
        statement.push(table.name()?);
        let mut statement = table.push_search(statement, &search).await?;
        statement.push(" LIMIT 1");
        let mut connection = table.connection(connection).await?;
        let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
        Ok(!rows.is_empty())
    }
}

impl<'a, M, DB> IntoFuture for Exists<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<bool>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! All rows.

use std::{future::IntoFuture, mem};

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::{StreamExt as _, stream};
use pii_core::{Condition, Cryptor, FieldSelection, Result, Wanted};
use sqlx::{Database, FromRow};

use super::{SqlTable, failed};
use crate::{
    connection::Source,
    decrypt::{Reading, open_stream},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
};

/// A SELECT of all rows; made by [`SqlTable::list`].
#[must_use = "nothing is read before this is awaited"]
pub struct List<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    fields: FieldSelection,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> List<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>) -> Self {
        Self { table, fields: FieldSelection::Nothing, connection: None }
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

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        (self.table.cryptor.clone(), Self { fields: FieldSelection::Nothing, ..self })
    }
}

impl<M, DB> List<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    async fn run(self) -> Result<Vec<M>> {
        let Self { table, fields, connection } = self;
        table.check(&fields).await?;
        let statement = table.select_in_order()?;
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
}

impl<'a, M, DB> List<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    /// The rows one after the other, up to the first error: for tables that are larger than memory. They are
    /// opened in batches: of 256, on SQLite of 48. Four batches are in memory at most: the next ones are read,
    /// and opened [on other threads](Cryptor::open_ahead), while one is taken.
    ///
    /// The stream holds its connection until it ends, also while keys are asked for: with a pool of one
    /// connection, a key store in the same database must have its keys at hand by then. See
    /// [`Decrypting::fetch`](crate::builder::Decrypting::fetch) for streams of your own queries.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let mut rows = customers.list().decrypt_pii().stream();
    /// while let Some(customer) = rows.try_next().await? {
    ///     println!("{customer:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(mut self) -> BoxStream<'a, Result<M>>
    where
        M: 'static,
    {
        let wanted = Wanted::fields(mem::take(&mut self.fields));
        self.shown(wanted, Ok)
    }

    /// What is given of the rows once what is wanted of them was opened.
    pub(super) fn shown<V: 'a>(self, wanted: Wanted, show: fn(M) -> Result<V>) -> BoxStream<'a, Result<V>>
    where
        M: 'static,
    {
        let Self { table, connection, .. } = self;
        let prepared = table.select_in_order().and_then(|statement| Ok((statement, table.keep()?)));
        let (statement, keep) = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        let source = match connection {
            Some(connection) => Source::Given(connection),
            None => Source::Pool(&table.pool),
        };
        let rows = DB::stream(source, statement.finish());
        let reading = Reading {
            decode: |row: DB::Row| M::from_row(&row),
            decodes_at_once: DB::DECODES_AT_ONCE,
            may_rest: !DB::LEAVES_ANSWERS_UNREAD,
            keep,
            cryptor: &table.cryptor,
            wanted,
            show,
            chunk: DB::STREAMED_ROWS,
            until_error: true,
        };
        open_stream(rows, reading)
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// `SELECT "a", "b" FROM "t" ORDER BY "id"`, of a scoped cryptor with ` WHERE 1 = 1 AND "tenant" = $1`
    fn select_in_order(&self) -> Result<Statement<DB>> {
        let mut statement = self.select()?;
        if self.cryptor.scope().map_err(error::of::<M>)?.is_some() {
            self.push_filter(&mut statement, &Condition::All)?;
        }
        let ids = || M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name);
        if ids().next().is_some() {
            statement.push(" ORDER BY ");
            statement.push_names(ids());
        }
        Ok(statement)
    }
}

impl<'a, M, DB> IntoFuture for List<'a, M, DB>
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

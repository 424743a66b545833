//! One new row.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, Result};
use sqlx::{Database, Decode, Type};

use super::{SqlTable, failed, rows::omitted};
use crate::{
    binder::Part,
    dialect::{Dialect, Returned},
    error,
    model::SqlModel,
    statement::Statement,
};

/// An INSERT of one row; made by [`SqlTable::insert`].
#[must_use = "nothing is inserted before this is awaited"]
pub struct Insert<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    model: &'a M,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Insert<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, model: &'a M) -> Self {
        Self { table, model, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    /// Gives the id of the new row, also if the database made it up. For models with one id field.
    ///
    /// ```no_run
    /// # use pii::{Cryptor, EncryptedStr, PiiModel, SqlTable};
    /// #[derive(PiiModel)]
    /// #[pii(name = "note", table = "notes", from_row)]
    /// struct Note {
    ///     #[pii(id, bind = "field")]
    ///     id: Option<i64>,
    ///     text: EncryptedStr,
    /// }
    ///
    /// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
    /// let notes = SqlTable::<Note, _>::new(&pool, &cryptor);
    /// let note = Note { id: None, text: EncryptedStr::new("call back") };
    /// let id: i64 = notes.insert(&note).returning_id().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn returning_id(self) -> InsertReturningId<'a, M, DB>
    where
        M::Id: for<'r> Decode<'r, DB> + Type<DB>,
    {
        InsertReturningId(self)
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> Insert<'_, M, DB> {
    async fn run(self) -> Result<()> {
        let mut row = self.table.seal_one(self.model).await?;
        let statement = self.table.insert_into("", &mut row)?;
        let mut connection = self.table.connection(self.connection).await?;
        connection.execute(statement).await.map_err(failed::<M>)?;
        Ok(())
    }
}

impl<'a, M: SqlModel<DB> + Sync, DB: Dialect> IntoFuture for Insert<'a, M, DB> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// An INSERT of one row that gives its id; made by [`Insert::returning_id`].
#[must_use = "nothing is inserted before this is awaited"]
pub struct InsertReturningId<'a, M, DB: Database>(Insert<'a, M, DB>);

impl<'a, M: SqlModel<DB>, DB: Dialect> InsertReturningId<'a, M, DB> {
    /// Runs on this transaction or connection.
    pub fn on(self, connection: &'a mut DB::Connection) -> Self {
        Self(self.0.on(connection))
    }
}

impl<M, DB> InsertReturningId<'_, M, DB>
where
    M: SqlModel<DB, Id: for<'r> Decode<'r, DB> + Type<DB>> + Sync,
    DB: Dialect,
{
    async fn run(self) -> Result<M::Id> {
        let Insert { table, model, connection } = self.0;
        let mut row = table.seal_one(model).await?;
        let mut statement = table.insert_into("", &mut row)?;
        let ids: Vec<_> =
            M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name).collect();
        DB::push_returning(&mut statement, &ids);
        let mut connection = table.connection(connection).await?;
        let returned = connection
            .call(|connection| DB::insert_returning(connection, statement.finish()))
            .await
            .map_err(failed::<M>)?;
        let row = match returned {
            Returned::Row(row) => Some(row),
            Returned::Number(number) => match table.select_inserted(model, &ids, number)? {
                Some(statement) => {
                    let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
                    rows.into_iter().next()
                }
                None => None,
            },
            Returned::Nothing => None,
        };
        let row = row.ok_or_else(|| {
            Error::new(ErrorKind::Database)
                .model(M::MODEL.name())
                .message("the database inserted no row, or does not tell its id")
                .help("look for a trigger or rule that keeps it from doing so")
        })?;
        DB::first_column(&row).map_err(failed::<M>)
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// `SELECT "id" FROM "t" WHERE "id" = $1` for the row of this model, with the number that the database
    /// made up where the model has no id.
    fn select_inserted(&self, model: &M, ids: &[&str], number: Option<i64>) -> Result<Option<Statement<DB>>> {
        let mut statement = Statement::new("SELECT ");
        statement.push_names(ids.iter().copied());
        statement.push(" FROM ");
        statement.push(self.name()?);
        let omitted = omitted::<M, DB>(model)?;
        let Some(generated) = omitted.first() else {
            self.push_where(&mut statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
            return Ok(Some(statement));
        };
        let Some(number) = number else { return Ok(None) };
        statement.push(" WHERE ");
        statement.push_name(generated);
        statement.push(" = ");
        let bound = statement.bind_number(number);
        bound.map_err(|source| error::at_column(error::not_encoded(source), M::MODEL, generated))?;
        Ok(Some(statement))
    }
}

impl<'a, M, DB> IntoFuture for InsertReturningId<'a, M, DB>
where
    M: SqlModel<DB, Id: for<'r> Decode<'r, DB> + Type<DB>> + Sync,
    DB: Dialect,
{
    type Output = Result<M::Id>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

//! One row by its id.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Cryptor, Error, ErrorKind, FieldSelection, Result};
use sqlx::{Database, FromRow};

use super::{GetStored, SqlTable, failed};
use crate::{binder::Part, dialect::Dialect, model::SqlModel};

/// A SELECT of one row; made by [`SqlTable::get`].
#[must_use = "nothing is read before this is awaited"]
pub struct Get<'a, M: SqlModel<DB>, DB: Database> {
    table: &'a SqlTable<M, DB>,
    id: M::Id,
    fields: FieldSelection,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> Get<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, id: M::Id) -> Self {
        Self { table, id, fields: FieldSelection::Nothing, connection: None }
    }

    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let customer = customers.get(7).decrypt_fields(["email"]).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Gives `None` if there is no such row, instead of an error.
    pub fn optional(self) -> GetOptional<'a, M, DB> {
        GetOptional(self)
    }

    /// Gives the row with its texts as they are stored, for [`SqlTable::swap`].
    pub fn stored(self) -> GetStored<'a, M, DB> {
        GetStored::new(self)
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

impl<M, DB> Get<'_, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    /// The row, or the error that it does not exist.
    async fn run(self) -> Result<Result<M>> {
        Ok(self.run_keeping(|_| Ok(())).await?.map(|(model, ())| model))
    }

    /// As `run`, with something of the row as it is stored.
    pub(super) async fn run_keeping<T: Send>(
        self,
        keep: impl FnOnce(&DB::Row) -> Result<T> + Send,
    ) -> Result<Result<(M, T)>> {
        let Self { table, id, fields, connection } = self;
        table.check(&fields).await?;
        let mut statement = table.select()?;
        table.push_where(&mut statement, Part::Id, |binder| M::bind_id(&id, binder))?;
        let rows = {
            let mut connection = table.connection(connection).await?;
            connection.fetch(statement).await.map_err(failed::<M>)?
        };
        let wanted = table.written(|out| M::write_id(&id, out));
        let Some(row) = rows.first() else {
            return Ok(Err(table.not_found(&wanted)));
        };
        let mut model = SqlTable::<M, DB>::decode(row).map_err(|error| error.row(&wanted))?;
        let kept = keep(row)?;
        drop(rows);
        if table.written(|out| model.write_own_id(out)) != wanted {
            return Err(Error::new(ErrorKind::Integrity)
                .model(M::MODEL.name())
                .row(wanted)
                .message("the database gave a row with another id"));
        }
        table.admit(std::slice::from_mut(&mut model), &fields).await?;
        Ok(Ok((model, kept)))
    }
}

impl<'a, M, DB> IntoFuture for Get<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<M>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.run().await? })
    }
}

/// A SELECT of one row that may not exist; made by [`Get::optional`].
#[must_use = "nothing is read before this is awaited"]
pub struct GetOptional<'a, M: SqlModel<DB>, DB: Database>(Get<'a, M, DB>);

impl<'a, M: SqlModel<DB>, DB: Dialect> GetOptional<'a, M, DB> {
    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(self) -> Self {
        Self(self.0.decrypt_pii())
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self(self.0.decrypt_fields(names))
    }

    /// Runs on this transaction or connection.
    pub fn on(self, connection: &'a mut DB::Connection) -> Self {
        Self(self.0.on(connection))
    }

    /// The same read that opens nothing, with its cryptor.
    pub(super) fn opening_nothing(self) -> (Cryptor, Self) {
        let (cryptor, read) = self.0.opening_nothing();
        (cryptor, Self(read))
    }
}

impl<'a, M, DB> IntoFuture for GetOptional<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    type Output = Result<Option<M>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.0.run().await?.ok()) })
    }
}

//! The methods of a table for many rows.

use super::{BulkSource, Rows, Verb, WriteMany};
use crate::{dialect::Dialect, model::SqlModel, table::SqlTable};

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// Inserts many rows, all of them or none, and says how many.
    ///
    /// Keys are asked for before a connection is taken: one call for each encryption context whose data
    /// key is not at hand. The rows go in statements of at most 500 rows, and the next ones are sealed
    /// while these are on their way; more than one statement run in a transaction, or in a savepoint of
    /// the one given with `.on()`. If that call is given up midway, roll your transaction back: sqlx may
    /// have done so already. A connection that you gave without a transaction is to be closed then.
    pub fn insert_many<'a>(&'a self, models: impl IntoIterator<Item = &'a M>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Insert, Rows::given(models))
    }

    /// Inserts or updates many rows, as [`upsert`](Self::upsert) does with one, all of them or none, and says
    /// how many. Of several with the same id the last one wins. See [`insert_many`](Self::insert_many) for
    /// keys and transactions.
    ///
    /// That one of the rows is outside the cryptor's scope is an error with its id:
    /// [`ErrorKind::ContextMismatch`](pii_core::ErrorKind::ContextMismatch).
    pub fn upsert_many<'a>(&'a self, models: impl IntoIterator<Item = &'a M>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Upsert, Rows::given(models))
    }

    /// Updates many rows by their ids, as [`update`](Self::update) does with one, all of them or none, and says
    /// how many. Values that were loaded and not changed are written back as they are; rows that have nothing
    /// else need no key. See [`insert_many`](Self::insert_many) for keys and transactions.
    ///
    /// A row that does not exist is an error with its id,
    /// [`ErrorKind::RowNotFound`](pii_core::ErrorKind::RowNotFound), and so is one with another version than the
    /// model's: [`ErrorKind::Conflict`](pii_core::ErrorKind::Conflict).
    pub fn update_many<'a>(&'a self, models: impl IntoIterator<Item = &'a M>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Update, Rows::given(models))
    }

    /// As [`insert_many`](Self::insert_many), with models that are made one after the other: of an iterator or
    /// a stream, of models or of results of them. Two chunks of rows are in memory at a time, however many
    /// there are. An error of the source ends the job, and nothing is written.
    ///
    /// Keys are asked for when rows that need them come. From the second chunk on the connection is held by
    /// then: where the key store needs one of the same pool, the pool must have two.
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>, old: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let made = (1..=1_000_000)
    ///     .map(|id| Customer { id, email: EncryptedStr::new(format!("customer-{id}@example.com")) });
    /// let inserted = customers.insert_from(made).await?;
    ///
    /// // from table to table, never all of it in memory
    /// let copied = customers.upsert_from(old.list().decrypt_pii().stream()).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert_from<'a, Kind>(&'a self, source: impl BulkSource<'a, M, Kind>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Insert, Rows::coming(source.into_rows()))
    }

    /// As [`upsert_many`](Self::upsert_many), with models that are made one after the other: see
    /// [`insert_from`](Self::insert_from).
    pub fn upsert_from<'a, Kind>(&'a self, source: impl BulkSource<'a, M, Kind>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Upsert, Rows::coming(source.into_rows()))
    }

    /// As [`update_many`](Self::update_many), with models that are made one after the other: see
    /// [`insert_from`](Self::insert_from).
    pub fn update_from<'a, Kind>(&'a self, source: impl BulkSource<'a, M, Kind>) -> WriteMany<'a, M, DB> {
        WriteMany::new(self, Verb::Update, Rows::coming(source.into_rows()))
    }
}

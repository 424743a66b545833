//! Queries whose rows are opened, all of them or an error.

use std::mem;

use futures_core::stream::BoxStream;
use futures_util::TryStreamExt as _;
use pii_core::{Cryptor, Error, ErrorKind, FieldSelection, PiiRow, Result, Wanted};
use sqlx::{Database as _, Executor};

use super::{
    each_row::EachRow,
    open::{check, failed, open_all},
    source::RowSource,
    stream::{Reading, open_stream},
};
use crate::error;

/// As many rows are opened together in a stream, unless told otherwise.
pub(crate) const CHUNK: usize = 256;

/// A query whose rows are opened; made by [`DecryptPii::decrypt_pii`](crate::DecryptPii::decrypt_pii).
#[must_use = "a query does nothing before it is fetched"]
pub struct Decrypting<'k, Q> {
    pub(super) query: Q,
    pub(super) cryptor: &'k Cryptor,
    pub(super) fields: FieldSelection,
    pub(super) chunk: usize,
}

impl<'k, Q: RowSource<Row: PiiRow>> Decrypting<'k, Q> {
    pub(super) fn new(query: Q, cryptor: &'k Cryptor) -> Self {
        Self { query, cryptor, fields: FieldSelection::All, chunk: CHUNK }
    }

    /// Opens these fields only, by their stable names; the others stay sealed. A field that can't be
    /// opened, because of its mode, is an error then. Of joined rows, name the model too: `customer.email`.
    ///
    /// ```no_run
    /// # use pii::{Cryptor, DecryptPii, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
    /// let query = sqlx::query_as::<_, Customer>("SELECT * FROM customers");
    /// let customers = query.decrypt_pii(&cryptor).fields(["email"]).fetch_all(&pool).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// How many rows of a stream are opened together; 256 by default. A stream holds four times as many rows in
    /// memory at most: the next ones are read, and opened [on other threads](Cryptor::open_ahead), while some are
    /// taken.
    pub fn chunk_size(mut self, rows: usize) -> Self {
        self.chunk = rows.max(1);
        self
    }

    /// Gives a result for each row, so that one that can't be read or opened does not hide the others.
    pub fn each_row(self) -> EachRow<'k, Q> {
        EachRow(self)
    }

    /// The first row. That there is none is an error.
    ///
    /// # Errors
    /// [`ErrorKind::RowNotFound`], [`ErrorKind::Database`], and those of [`Cryptor::open_each`].
    pub async fn fetch_one<'c, E>(self, executor: E) -> Result<Q::Row>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let row = self.fetch_optional(executor).await?;
        row.ok_or_else(|| error::of_row::<Q::Row>(Error::new(ErrorKind::RowNotFound)))
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// [`ErrorKind::Database`], and those of [`Cryptor::open_each`].
    pub async fn fetch_optional<'c, E>(self, executor: E) -> Result<Option<Q::Row>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Self { query, cryptor, fields, .. } = self;
        check::<Q::Row>(cryptor, &fields).await?;
        match query.optional(executor).await.map_err(failed::<Q::Row>)? {
            Some(row) => Ok(open_all(cryptor, &fields, vec![row]).await?.pop()),
            None => Ok(None),
        }
    }

    /// All rows.
    ///
    /// # Errors
    /// [`ErrorKind::Database`], and those of [`Cryptor::open_each`].
    pub async fn fetch_all<'c, E>(self, executor: E) -> Result<Vec<Q::Row>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Self { query, cryptor, fields, .. } = self;
        check::<Q::Row>(cryptor, &fields).await?;
        let rows: Vec<Q::Row> = query.stream(executor).try_collect().await.map_err(failed::<Q::Row>)?;
        open_all(cryptor, &fields, rows).await
    }

    /// The rows one after the other, up to the first error. They are opened in chunks of
    /// [`chunk_size`](Self::chunk_size) rows, the last one of what is left: the first row comes when its chunk is
    /// there.
    ///
    /// The stream holds its connection until it ends, also while keys are asked for: with a pool of one
    /// connection, a key store in the same database must have its keys at hand by then.
    ///
    /// ```no_run
    /// # use pii::{Cryptor, DecryptPii, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
    /// let query = sqlx::query_as::<_, Customer>("SELECT * FROM customers");
    /// let mut customers = query.decrypt_pii(&cryptor).fetch(&pool);
    /// while let Some(customer) = customers.try_next().await? {
    ///     println!("{customer:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, Result<Q::Row>>
    where
        'k: 'e,
        Q: 'e,
        E: Executor<'c, Database = Q::Database> + 'e,
    {
        self.rows(executor, true)
    }

    /// The rows as sqlx decoded them, opened.
    pub(super) fn rows<'e, 'c: 'e, E>(
        mut self,
        executor: E,
        until_error: bool,
    ) -> BoxStream<'e, Result<Q::Row>>
    where
        'k: 'e,
        Q: 'e,
        E: Executor<'c, Database = Q::Database> + 'e,
    {
        let wanted = Wanted::fields(mem::take(&mut self.fields));
        self.shown(executor, wanted, Ok, until_error)
    }

    /// What is given of the rows once what is wanted of them was opened.
    pub(super) fn shown<'e, 'c: 'e, E, V>(
        self,
        executor: E,
        wanted: Wanted,
        show: fn(Q::Row) -> Result<V>,
        until_error: bool,
    ) -> BoxStream<'e, Result<V>>
    where
        'k: 'e,
        Q: 'e,
        V: 'e,
        E: Executor<'c, Database = Q::Database> + 'e,
    {
        let Self { query, cryptor, chunk, .. } = self;
        let reading = Reading {
            decode: Ok,
            decodes_at_once: true,
            may_rest: matches!(Q::Database::NAME, "PostgreSQL" | "SQLite"),
            keep: |_, _| Ok(true),
            cryptor,
            wanted,
            show,
            chunk,
            until_error,
        };
        open_stream(query.stream(executor), reading)
    }
}

//! Queries whose rows nobody may see more of than masks show.

use futures_core::stream::BoxStream;
use pii_core::{FieldSelection, MaskedView, PiiModel, Result};
use serde::Serialize;
use sqlx::Executor;

use super::{decrypting::Decrypting, source::RowSource};
use crate::masked::{Hints, many, optional, view};

/// A query that gives masked views; made by [`Decrypting::masked`] and [`Decrypting::masked_with_hints`].
#[must_use = "a query does nothing before it is fetched"]
pub struct Masking<'k, Q> {
    query: Decrypting<'k, Q>,
    hints: Hints,
}

impl<'k, Q: RowSource<Row: PiiModel + Serialize>> Decrypting<'k, Q> {
    /// Gives what masks show, in place of rows. Nothing is opened, whatever was chosen before, and no key is
    /// asked for: sealed values are `*****`.
    pub fn masked(self) -> Masking<'k, Q> {
        Masking { query: self.opening_nothing(), hints: Hints::Nothing }
    }

    /// As [`masked`](Self::masked), but opens the fields whose masks show a part of the value, such as
    /// `last4`; without the permission or the key they are `*****` too. See
    /// [`Cryptor::masked_with_hints`](pii_core::Cryptor::masked_with_hints).
    pub fn masked_with_hints(self) -> Masking<'k, Q> {
        Masking { query: self.opening_nothing(), hints: Hints::WhatMasksShow }
    }

    fn opening_nothing(self) -> Self {
        Self { fields: FieldSelection::Nothing, ..self }
    }
}

impl<'k, Q: RowSource<Row: PiiModel + Serialize>> Masking<'k, Q> {
    /// The first row. That there is none is an error.
    ///
    /// # Errors
    /// Those of [`Decrypting::fetch_one`] and of `Cryptor::masked_with_hints`.
    pub async fn fetch_one<'c, E>(self, executor: E) -> Result<MaskedView<Q::Row>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Self { query, hints } = self;
        let cryptor = query.cryptor;
        let row = query.fetch_one(executor).await?;
        let view = optional(cryptor, Some(row), hints).await?;
        view.ok_or_else(|| pii_core::Error::new(pii_core::ErrorKind::RowNotFound).model(Q::Row::MODEL.name()))
    }

    /// The first row, if there is one.
    ///
    /// # Errors
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_optional<'c, E>(self, executor: E) -> Result<Option<MaskedView<Q::Row>>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Self { query, hints } = self;
        let cryptor = query.cryptor;
        optional(cryptor, query.fetch_optional(executor).await?, hints).await
    }

    /// All rows.
    ///
    /// # Errors
    /// As [`fetch_one`](Self::fetch_one).
    pub async fn fetch_all<'c, E>(self, executor: E) -> Result<Vec<MaskedView<Q::Row>>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Self { query, hints } = self;
        let cryptor = query.cryptor;
        many(cryptor, query.fetch_all(executor).await?, hints).await
    }

    /// The views one after the other, up to the first error: for more rows than memory holds. The rows are read, and
    /// hints opened, in chunks of [`chunk_size`](Decrypting::chunk_size) and within its limits; see
    /// [`Decrypting::fetch`] for the connection meanwhile.
    ///
    /// ```no_run
    /// # use pii::{Cryptor, DecryptPii, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, #[pii(mask = "email")] email: EncryptedStr }
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
    /// let query = sqlx::query_as::<_, Customer>("SELECT * FROM customers");
    /// let mut views = query.decrypt_pii(&cryptor).masked().fetch(&pool);
    /// while let Some(view) = views.try_next().await? {
    ///     println!("{view}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn fetch<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, Result<MaskedView<Q::Row>>>
    where
        'k: 'e,
        Q: 'e,
        E: Executor<'c, Database = Q::Database> + 'e,
    {
        let Self { query, hints } = self;
        query.shown(executor, hints.wanted::<Q::Row>(), view, true)
    }
}

//! Reads whose rows nobody may see more of than masks show.

use std::future::IntoFuture;

use futures_core::{future::BoxFuture, stream::BoxStream};
use pii_core::{Error, ErrorKind, MaskedView, PiiModel, Result};
use serde::Serialize;
use sqlx::{Database, FromRow};

use super::{Get, GetOptional, List, Matching, MatchingOne, MatchingOptional};
use crate::{
    dialect::Dialect,
    masked::{Hints, many, optional, view},
    model::SqlModel,
};

macro_rules! masked_reads {
    ($($read:ident gives $views:ty, by $views_of:ident;)*) => {$(
        impl<'a, M, DB> $read<'a, M, DB>
        where
            M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Serialize + Send + 'a,
            M::Id: 'a,
            DB: Dialect,
        {
            /// Gives what masks show, in place of models. Nothing is opened, whatever was chosen before, and
            /// no key is asked for: sealed values are `*****`.
            pub fn masked(self) -> BoxFuture<'a, Result<$views>> {
                self.masked_by(Hints::Nothing)
            }

            /// As `masked`, but opens the fields whose masks show a part of the value, such as `last4`;
            /// without the permission or the key they are `*****` too. See
            /// [`Cryptor::masked_with_hints`](pii_core::Cryptor::masked_with_hints).
            pub fn masked_with_hints(self) -> BoxFuture<'a, Result<$views>> {
                self.masked_by(Hints::WhatMasksShow)
            }

            fn masked_by(self, hints: Hints) -> BoxFuture<'a, Result<$views>> {
                let (cryptor, read) = self.opening_nothing();
                Box::pin(async move { $views_of(&cryptor, read.await?, hints).await })
            }
        }
    )*};
}

masked_reads! {
    Get gives MaskedView<M>, by one;
    GetOptional gives Option<MaskedView<M>>, by optional;
    Matching gives Vec<MaskedView<M>>, by many;
    MatchingOne gives MaskedView<M>, by one;
    MatchingOptional gives Option<MaskedView<M>>, by optional;
}

/// A SELECT of all rows that gives masked views; made by [`List::masked`] and [`List::masked_with_hints`].
#[must_use = "nothing is read before this is awaited"]
pub struct MaskedList<'a, M, DB: Database> {
    list: List<'a, M, DB>,
    hints: Hints,
}

impl<'a, M, DB> List<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Serialize + Send + 'a,
    DB: Dialect,
{
    /// Gives what masks show, in place of models. Nothing is opened, whatever was chosen before, and
    /// no key is asked for: sealed values are `*****`.
    pub fn masked(self) -> MaskedList<'a, M, DB> {
        MaskedList { list: self, hints: Hints::Nothing }
    }

    /// As `masked`, but opens the fields whose masks show a part of the value, such as `last4`;
    /// without the permission or the key they are `*****` too. See
    /// [`Cryptor::masked_with_hints`](pii_core::Cryptor::masked_with_hints).
    pub fn masked_with_hints(self) -> MaskedList<'a, M, DB> {
        MaskedList { list: self, hints: Hints::WhatMasksShow }
    }
}

impl<'a, M, DB> MaskedList<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Serialize + Send + 'static,
    DB: Dialect,
{
    /// The views one after the other, up to the first error: for tables that are larger than memory. The rows
    /// are read, and hints opened, in batches and within the limits of [`List::stream`].
    ///
    /// ```no_run
    /// # use pii::{EncryptedStr, PiiModel, SqlTable};
    /// # #[derive(PiiModel, serde::Serialize)]
    /// # #[pii(name = "customer", table = "customers", from_row)]
    /// # struct Customer { #[pii(id)] id: i64, #[pii(mask = "email")] email: EncryptedStr }
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn run(customers: SqlTable<Customer, sqlx::Sqlite>) -> pii::Result<()> {
    /// let mut views = customers.list().masked_with_hints().stream();
    /// while let Some(view) = views.try_next().await? {
    ///     println!("{view}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(self) -> BoxStream<'a, Result<MaskedView<M>>> {
        self.list.shown(self.hints.wanted::<M>(), view)
    }
}

impl<'a, M, DB> IntoFuture for MaskedList<'a, M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Serialize + Send + 'a,
    DB: Dialect,
{
    type Output = Result<Vec<MaskedView<M>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        let (cryptor, list) = self.list.opening_nothing();
        Box::pin(async move { many(&cryptor, list.await?, self.hints).await })
    }
}

async fn one<M: PiiModel + Serialize>(
    cryptor: &pii_core::Cryptor,
    model: M,
    hints: Hints,
) -> Result<MaskedView<M>> {
    let view = optional(cryptor, Some(model), hints).await?;
    view.ok_or_else(|| Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()))
}

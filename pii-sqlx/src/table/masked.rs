//! Reads whose rows nobody may see more of than masks show.

use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, MaskedView, PiiModel, Result};
use serde::Serialize;
use sqlx::FromRow;

use super::{Get, GetOptional, List, Matching, MatchingOne, MatchingOptional};
use crate::{
    dialect::Dialect,
    masked::{Hints, many, optional},
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
    List gives Vec<MaskedView<M>>, by many;
    Matching gives Vec<MaskedView<M>>, by many;
    MatchingOne gives MaskedView<M>, by one;
    MatchingOptional gives Option<MaskedView<M>>, by optional;
}

async fn one<M: PiiModel + Serialize>(
    cryptor: &pii_core::Cryptor,
    model: M,
    hints: Hints,
) -> Result<MaskedView<M>> {
    let view = optional(cryptor, Some(model), hints).await?;
    view.ok_or_else(|| Error::new(ErrorKind::RowNotFound).model(M::MODEL.name()))
}

//! Reads whose items nobody may see more of than masks show.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{Cryptor, MaskedView, Result};
use serde::{Serialize, de::DeserializeOwned};

use super::{DynamoTable, Get, GetOptional, Query, Scan};
use crate::model::DynamoModel;

/// How much a masked view may open.
#[derive(Clone, Copy)]
enum Hints {
    Nothing,
    WhatMasksShow,
}

macro_rules! masked_reads {
    ($($read:ident gives $views:ty, by $views_of:ident;)*) => {$(
        impl<'a, M: DynamoModel + Serialize + DeserializeOwned + Send + 'a> $read<'a, M> {
            /// Gives what masks show, in place of models. Nothing is opened, whatever was chosen before, and
            /// no key is asked for: sealed values are `*****`.
            pub fn masked(self) -> BoxFuture<'a, Result<$views>> {
                self.masked_by(Hints::Nothing)
            }

            /// As `masked`, but opens the fields whose masks show a part of the value, such as `last4`;
            /// without the permission or the key they are `*****` too. See [`Cryptor::masked_with_hints`].
            pub fn masked_with_hints(self) -> BoxFuture<'a, Result<$views>> {
                self.masked_by(Hints::WhatMasksShow)
            }

            fn masked_by(self, hints: Hints) -> BoxFuture<'a, Result<$views>> {
                let (table, read) = self.opening_nothing();
                Box::pin(async move { table.$views_of(read.into_future().await?, hints).await })
            }
        }
    )*};
}

masked_reads! {
    Get gives MaskedView<M>, by view;
    GetOptional gives Option<MaskedView<M>>, by optional_view;
    Query gives Vec<MaskedView<M>>, by views;
    Scan gives Vec<MaskedView<M>>, by views;
}

impl<M: DynamoModel + Serialize + Send> DynamoTable<M> {
    async fn views(&self, models: Vec<M>, hints: Hints) -> Result<Vec<MaskedView<M>>> {
        match hints {
            Hints::Nothing => models.iter().map(MaskedView::of).collect(),
            Hints::WhatMasksShow => {
                let cryptor: &Cryptor = &self.cryptor;
                cryptor.masked_with_hints(models).await.map_err(Self::failed)
            }
        }
    }

    async fn optional_view(&self, model: Option<M>, hints: Hints) -> Result<Option<MaskedView<M>>> {
        Ok(self.views(Vec::from_iter(model), hints).await?.pop())
    }

    async fn view(&self, model: M, hints: Hints) -> Result<MaskedView<M>> {
        match hints {
            Hints::Nothing => MaskedView::of(&model),
            Hints::WhatMasksShow => {
                let views = self.views(vec![model], hints).await?;
                views.into_iter().next().ok_or_else(|| {
                    pii_core::Error::new(pii_core::ErrorKind::RowNotFound).model(M::MODEL.name())
                })
            }
        }
    }
}

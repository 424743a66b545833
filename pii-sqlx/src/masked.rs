//! From rows that were read to what masks show of them.

use pii_core::{Cryptor, FieldSelection, MaskedView, PiiModel, Result, Wanted};
use serde::Serialize;

use crate::error;

/// How much a masked view may open.
#[derive(Clone, Copy)]
pub(crate) enum Hints {
    Nothing,
    WhatMasksShow,
}

impl Hints {
    /// What is opened for them in a stream.
    pub(crate) fn wanted<M: PiiModel>(self) -> Wanted {
        match self {
            Self::Nothing => Wanted::fields(FieldSelection::Nothing),
            Self::WhatMasksShow => Wanted::hints::<M>(),
        }
    }
}

/// What masks show of a row of a stream. The row is dropped.
pub(crate) fn view<M: PiiModel + Serialize>(model: M) -> Result<MaskedView<M>> {
    MaskedView::of(&model)
}

pub(crate) async fn many<M: PiiModel + Serialize>(
    cryptor: &Cryptor,
    models: Vec<M>,
    hints: Hints,
) -> Result<Vec<MaskedView<M>>> {
    match hints {
        Hints::Nothing => models.iter().map(MaskedView::of).collect(),
        Hints::WhatMasksShow => cryptor.masked_with_hints(models).await.map_err(error::of::<M>),
    }
}

pub(crate) async fn optional<M: PiiModel + Serialize>(
    cryptor: &Cryptor,
    model: Option<M>,
    hints: Hints,
) -> Result<Option<MaskedView<M>>> {
    Ok(many(cryptor, Vec::from_iter(model), hints).await?.pop())
}

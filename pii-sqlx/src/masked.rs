//! From rows that were read to what masks show of them.

use pii_core::{Cryptor, MaskedView, PiiModel, Result};
use serde::Serialize;

use crate::error;

/// How much a masked view may open.
#[derive(Clone, Copy)]
pub(crate) enum Hints {
    Nothing,
    WhatMasksShow,
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

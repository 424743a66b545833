//! The codes of rows that are stored already, each row with its own result.

use std::collections::BTreeSet;

use super::{Cryptor, FieldSelection, IndexEntry};
use crate::{
    error::{Error, ErrorKind, Result},
    index::IndexSpec,
    model::{ModelSpec, PiiModel},
};

impl Cryptor {
    /// Opens those fields of loaded models that blind indexes are made of, and says for each model what
    /// belongs into its index columns: all versions of all indexes, in the order of the model. What can't be
    /// opened in one row does not keep the others from their codes. One batch, for jobs that go through a
    /// table.
    ///
    /// # Errors
    /// The outer error is for what concerns all rows: [`ErrorKind::Configuration`] if the model has no blind
    /// index, is a view that lacks a field of one, or the cryptor has no key store; [`ErrorKind::Mode`] if a field
    /// can't be opened here; errors of keys that are worth a retry. The inner ones are those of opening, and
    /// [`ErrorKind::Erased`] where the key of the index was destroyed.
    pub async fn index_each<M: PiiModel>(&self, models: &mut [M]) -> Result<Vec<Result<Vec<IndexEntry>>>> {
        let located = |error: Error| error.model(M::MODEL.name());
        let opening = self.open_each(models, &indexed_fields(M::MODEL)?).await.map_err(located)?;
        let mut results = Vec::with_capacity(models.len());
        let mut good = Vec::with_capacity(models.len());
        for (model, opened) in models.iter().zip(opening) {
            match opened {
                Ok(()) => good.push(model),
                Err(error) if error.is_retryable() => return Err(error),
                Err(_) => {}
            }
            results.push(opened);
        }
        let entries = match self.index_entries(good.iter().copied()).await {
            Ok(entries) => entries.into_iter().map(Ok).collect(),
            Err(error) if concerns_all(&error) => return Err(located(error)),
            // one of them is the reason
            Err(_) => {
                let mut each = Vec::with_capacity(good.len());
                for model in good {
                    let entries = self.index_entries([model]).await.map(|mut entries| entries.pop());
                    each.push(match entries {
                        Err(error) if concerns_all(&error) => return Err(located(error)),
                        entries => entries.map(Option::unwrap_or_default).map_err(located),
                    });
                }
                each
            }
        };
        let mut entries = entries.into_iter();
        let with_entries = |opened: Result<()>| match opened {
            Ok(()) => entries.next().unwrap_or_else(|| Ok(Vec::new())),
            Err(error) => Err(error),
        };
        Ok(results.into_iter().map(with_entries).collect())
    }
}

/// Whether the next row would meet the same error.
fn concerns_all(error: &Error) -> bool {
    error.is_retryable() || matches!(error.kind(), ErrorKind::Configuration | ErrorKind::Audit)
}

/// The fields that the blind indexes of a model are made of.
fn indexed_fields(model: &'static ModelSpec) -> Result<FieldSelection> {
    let wrong = |message: String| Error::new(ErrorKind::Configuration).model(model.name()).message(message);
    if model.indexes().is_empty() {
        return Err(wrong("the model has no blind index".to_owned())
            .help("write `#[pii(blind_index)]` on a sealed field"));
    }
    let parts = model.indexes().iter().flat_map(IndexSpec::parts);
    let fields: BTreeSet<&str> = parts.map(|part| part.field).collect();
    match fields.iter().find(|field| model.field(field).is_none()) {
        Some(field) => {
            Err(wrong(format!("this view lacks the field `{field}`, of which a blind index is made"))
                .help("use the model that it is a view of"))
        }
        None => Ok(FieldSelection::only(fields)),
    }
}

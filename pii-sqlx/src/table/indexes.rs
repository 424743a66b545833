//! The columns of blind indexes, which no field of the model stands for.

use std::sync::Arc;

use pii_core::{Error, ErrorKind, IndexEntry, IndexText, PiiModel, Result, index::IndexSpec};
use sqlx::Database;

use crate::{dialect::Dialect, error, model::SqlModel, statement::Statement};

/// What is written to the index columns of a row; what stays as it is is left out.
pub(super) fn written(entries: &[IndexEntry]) -> impl Iterator<Item = (&'static str, Option<Arc<str>>)> {
    entries.iter().filter_map(|entry| match &entry.text {
        IndexText::Text(text) => Some((entry.version.column, Some(Arc::clone(text)))),
        IndexText::Null => Some((entry.version.column, None)),
        IndexText::Unchanged => None,
    })
}

/// The columns of values that are written back unopened, while their codes stay as they are stored: if someone
/// else has changed one meanwhile, the codes are of another value.
pub(super) fn kept<M: SqlModel<DB>, DB: Database>(entries: &[IndexEntry]) -> Vec<&'static str> {
    let stays = |index: &&IndexSpec| {
        let of_index = entries.iter().filter(|entry| is_of(entry, index));
        of_index.into_iter().any(|entry| entry.text == IndexText::Unchanged)
    };
    let mut columns = Vec::new();
    for column in M::MODEL.indexes().iter().filter(stays).flat_map(columns_of::<M, DB>) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Whether it is what is stored for a version of this index.
pub(super) fn is_of(entry: &IndexEntry, index: &IndexSpec) -> bool {
    index.versions().iter().any(|version| version.column == entry.version.column)
}

/// The columns of the values that an index is made of, as far as the model has them.
pub(super) fn columns_of<M: SqlModel<DB>, DB: Database>(
    index: &IndexSpec,
) -> impl Iterator<Item = &'static str> {
    let fields = index.parts().iter().filter_map(|part| M::MODEL.field(part.field));
    let columns = fields.map(|field| field.column());
    columns.filter(|name| M::COLUMNS.iter().any(|column| column.name == *name))
}

/// How many columns a row may have for them.
pub(super) fn count<M: PiiModel>() -> usize {
    M::MODEL.indexes().iter().map(|index| index.versions().len()).sum()
}

/// Appends a placeholder for the text of an index.
pub(super) fn bind<M: PiiModel, DB: Database>(
    statement: &mut Statement<DB>,
    text: Option<Arc<str>>,
) -> Result<()> {
    statement.bind_text(text).map_err(|source| error::not_encoded(source).model(M::MODEL.name()))
}

/// Appends `"email_bidx" = $1, "login_bidx" = $2` and says whether there was anything.
pub(super) fn push_assignments<M: PiiModel, DB: Dialect>(
    statement: &mut Statement<DB>,
    entries: &[IndexEntry],
    mut is_begun: bool,
) -> Result<bool> {
    for (column, text) in written(entries) {
        if is_begun {
            statement.push(", ");
        }
        is_begun = true;
        statement.push_name(column);
        statement.push(" = ");
        bind::<M, DB>(statement, text)?;
    }
    Ok(is_begun)
}

/// The error of rows that must go into one statement and have different index columns.
pub(super) fn differ<M: PiiModel>() -> Error {
    Error::new(ErrorKind::Configuration)
        .model(M::MODEL.name())
        .message("the cryptor gave blind indexes for some rows and none for others")
}

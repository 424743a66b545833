//! What generated code says about the columns of a model.

use pii_core::{PiiModel, RowWriter};
use sqlx::{ColumnIndex, Database, Decode, Row as _, Type};

use crate::{binder::Binder, joined::not_null, model_types::ColumnTypes, operand::OperandBinder};

/// A model whose rows are stored in a table; implemented by `#[derive(PiiModel)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a table of `{DB}`",
    label = "every field that is not sealed needs `sqlx::Type` and `sqlx::Encode` for `{DB}`",
    note = "a collection or nested struct of sealed fields needs `serde::Serialize` too"
)]
pub trait SqlModel<DB: Database>: PiiModel {
    /// The row's id: the type of the one id field, without its `Option`; a tuple of several; `()`
    /// if there is none.
    type Id: Send + Sync;

    /// The columns in the order of the fields.
    const COLUMNS: &'static [SqlColumn];

    /// Binds every column, in the order of [`SqlModel::COLUMNS`].
    fn bind_columns(&self, out: &mut Binder<'_, DB>);

    /// Binds this id, one value for each id column.
    fn bind_id(id: &Self::Id, out: &mut Binder<'_, DB>);

    /// Binds the model's own id in the same way.
    fn bind_own_id(&self, out: &mut Binder<'_, DB>);

    /// Writes this id in the form in which it is bound into sealed values.
    fn write_id(id: &Self::Id, out: &mut RowWriter);

    /// Writes the model's own id in the same way; nothing, as long as it is not known.
    fn write_own_id(&self, out: &mut RowWriter);

    /// Reads the id of a row alone; `None` where that is not known, as of a model that does not ask the derive for
    /// `from_row`.
    fn read_id(_row: &DB::Row) -> Option<sqlx::Result<Self::Id>> {
        None
    }

    /// Tells the type of every column, in the order of [`SqlModel::COLUMNS`].
    fn column_types(out: &mut ColumnTypes<DB>);

    /// Binds the operand of a filter on this field, counted in the order of
    /// [`ModelSpec::fields`](pii_core::ModelSpec::fields), as a value of the field's type. Where that does nothing,
    /// the filter is refused.
    fn bind_operand(_field: usize, _out: &mut OperandBinder<'_, DB>) {}
}

/// Reads a part of an id, for generated code.
///
/// # Errors
/// Those of [`sqlx::FromRow`].
pub fn read_id_part<T, DB>(row: &DB::Row, column: &str) -> sqlx::Result<T>
where
    DB: Database,
    T: for<'r> Decode<'r, DB> + Type<DB>,
    for<'q> &'q str: ColumnIndex<DB::Row>,
{
    not_null(row, column)?;
    row.try_get(column)
}

/// A column of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct SqlColumn {
    /// The name, as it is, without quotes.
    pub name: &'static str,
    /// What stands in it.
    pub kind: ColumnKind,
}

impl SqlColumn {
    /// A column.
    #[must_use]
    pub const fn new(name: &'static str, kind: ColumnKind) -> Self {
        Self { name, kind }
    }
}

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// A value that is not sealed.
    Plain,
    /// One sealed text.
    Sealed,
    /// JSON text with sealed texts in it: a list, a map or a nested struct.
    SealedJson,
    /// The row's id, or a part of it.
    Id,
    /// An id that the database makes up if the program has none.
    GeneratedId,
    /// The number that tells whether someone else changed the row.
    Version,
}

impl ColumnKind {
    pub(crate) fn is_id(self) -> bool {
        matches!(self, Self::Id | Self::GeneratedId)
    }

    pub(crate) fn is_version(self) -> bool {
        self == Self::Version
    }

    pub(crate) fn is_sealed(self) -> bool {
        matches!(self, Self::Sealed | Self::SealedJson)
    }

    pub(crate) fn is_generated(self) -> bool {
        self == Self::GeneratedId
    }

    /// Neither id nor version: what an update sets to the model's values.
    pub(crate) fn is_data(self) -> bool {
        !self.is_id() && !self.is_version()
    }
}

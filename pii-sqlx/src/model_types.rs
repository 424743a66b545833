//! The types of a model's columns, as sqlx knows them.

use sqlx::{Database, Type};

/// Where a model tells the types of its columns, in the order of
/// [`SqlModel::COLUMNS`](crate::SqlModel::COLUMNS).
pub struct ColumnTypes<DB: Database>(Vec<ColumnType<DB>>);

/// The type of one column.
pub(crate) struct ColumnType<DB: Database> {
    pub(crate) info: DB::TypeInfo,
    /// whether a value of this type in the database can be read
    pub(crate) is_compatible: fn(&DB::TypeInfo) -> bool,
    pub(crate) is_optional: bool,
}

impl<DB: Database> ColumnTypes<DB> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Tells the type of the next column, and whether the field is an `Option`.
    pub fn column<T: Type<DB>>(&mut self, is_optional: bool) {
        self.0.push(ColumnType { info: T::type_info(), is_compatible: T::compatible, is_optional });
    }

    pub(crate) fn into_vec(self) -> Vec<ColumnType<DB>> {
        self.0
    }
}

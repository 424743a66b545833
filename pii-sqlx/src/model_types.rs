//! The types of a model's columns, as sqlx knows them.

use std::any::type_name;

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
    /// whether it is a UUID, which sqlx has as any bytes on MySQL
    pub(crate) is_uuid: bool,
}

impl<DB: Database> ColumnTypes<DB> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Tells the type of the next column, and whether the field, or a nested struct around it, is an
    /// `Option`.
    pub fn column<T: Type<DB>>(&mut self, is_optional: bool) {
        let (info, is_compatible, is_uuid) = (T::type_info(), T::compatible, is_uuid::<T>());
        self.0.push(ColumnType { info, is_compatible, is_optional, is_uuid });
    }

    pub(crate) fn into_vec(self) -> Vec<ColumnType<DB>> {
        self.0
    }
}

fn is_uuid<T>() -> bool {
    #[cfg(feature = "uuid")]
    let uuids = [type_name::<sqlx::types::Uuid>(), type_name::<Option<sqlx::types::Uuid>>()];
    #[cfg(not(feature = "uuid"))]
    let uuids: [&str; 0] = [];
    uuids.contains(&type_name::<T>())
}

//! What differs between databases for definitions: one file each.

use sqlx::Database;

use super::DdlStatement;

/// What triggers say that keep plaintext out.
pub(crate) const NOT_SEALED: &str = "a value that is not sealed";

/// The part of [`Catalogue`](crate::Catalogue) that [`Ddl`](super::Ddl) needs. Names are quoted.
pub trait DdlDatabase: Database {
    /// The most bytes that a name may have.
    #[doc(hidden)]
    const MAX_NAME: usize;

    /// The type of sealed columns.
    #[doc(hidden)]
    const SEALED: &'static str;

    /// The type of a column with so many lower-case hexadecimal digits, compared by bytes.
    #[doc(hidden)]
    fn digits(count: usize) -> String;

    /// The type of a column that holds a UUID, where sqlx's type does not tell it.
    #[doc(hidden)]
    const UUID: Option<&'static str> = None;

    /// The type of a column that holds what sqlx writes as this type.
    #[doc(hidden)]
    fn column_type(info: &Self::TypeInfo, is_key: bool) -> String;

    /// The type of an id that the database makes up.
    #[doc(hidden)]
    fn generated(column_type: &str) -> String;

    /// The condition that lets only sealed text and NULL into a column.
    #[doc(hidden)]
    fn is_sealed(column: &str) -> String;

    /// Statements that keep plaintext out of a column of a table that is in use.
    #[doc(hidden)]
    fn keep_sealed(column: &ColumnToSeal) -> Vec<DdlStatement>;

    /// Makes a column one of text; nothing, if the database can't.
    #[doc(hidden)]
    fn change_to_text(column: &ColumnToSeal) -> Option<DdlStatement>;

    /// Lets NULL into a column; nothing, if the database can't.
    #[doc(hidden)]
    fn drop_not_null(column: &ColumnToSeal) -> Option<DdlStatement>;

    /// An index of a table that is in use.
    #[doc(hidden)]
    fn create_index(table: &str, name: &str, column: &str, is_unique: bool) -> DdlStatement;
}

/// A sealed column of a table.
#[doc(hidden)]
pub struct ColumnToSeal {
    pub(crate) table: String,
    pub(crate) column: String,
    /// the names of table and column without quotes, joined
    pub(crate) stem: String,
    /// the type that the column has, where it is known
    pub(crate) declared: String,
    pub(crate) is_nullable: bool,
    /// the check that is there, and only waits to be validated
    pub(crate) check: Option<String>,
}

/// What names of triggers end with, before inserts and before updates.
pub(crate) const OWN_TRIGGERS: [&str; 2] = ["_sealed_insert", "_sealed_update"];

/// Whether a trigger is one that keeps plaintext out.
pub(crate) fn is_own_trigger(name: &str) -> bool {
    OWN_TRIGGERS.iter().any(|end| name.ends_with(end))
}

/// The stem with this end, short enough to be a name. Where it has to be cut, a hash keeps names apart.
pub(crate) fn bounded<DB: DdlDatabase>(stem: &str, end: &str) -> String {
    let name = [stem, end].concat();
    if name.len() <= DB::MAX_NAME {
        return name;
    }
    // FNV-1a: names are no secrets
    let hash =
        stem.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let mut room = DB::MAX_NAME.saturating_sub(end.len() + 9);
    while !stem.is_char_boundary(room) {
        room -= 1;
    }
    format!("{}_{hash:08x}{end}", stem.get(..room).unwrap_or_default())
}

/// A quoted name in the schema of this quoted table.
#[cfg(any(feature = "sqlite", feature = "mysql"))]
pub(super) fn in_schema_of(table: &str, name: &str) -> String {
    match table.split_once("`.`") {
        Some((schema, _)) => format!("{schema}`.{name}"),
        None => name.to_owned(),
    }
}

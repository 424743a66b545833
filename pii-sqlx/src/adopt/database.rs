//! What differs between databases for moving tables: one file each.

use crate::key_store::KeyDatabase;

/// The part of [`Dialect`](crate::Dialect) that [`SqlTable::swap`](crate::SqlTable::swap),
/// [`Adoption`](super::Adoption) and [`ShadowColumn`](super::ShadowColumn) need.
pub trait AdoptionDatabase: KeyDatabase {
    /// Whether an UPDATE can take new values from a list of rows, and return which of them it took.
    #[doc(hidden)]
    const SWAPS_BY_VALUES: bool;

    /// An expression for a text that is compared by its bytes with what follows.
    #[doc(hidden)]
    fn exact(text: &str) -> String {
        format!("{text} {}", Self::BY_BYTES)
    }

    /// A condition: whether a text begins like a sealed value. Of NULL it is NULL.
    #[doc(hidden)]
    fn is_sealed(text: &str) -> String {
        format!("{} = 'ENC:'", Self::exact(&format!("substr({text}, 1, 4)")))
    }

    /// The number in the first column of a row of an UPDATE that takes its values from a list.
    #[doc(hidden)]
    fn number(row: &Self::Row) -> sqlx::Result<i64>;

    /// The statements that add the columns of a shadow column.
    #[doc(hidden)]
    fn add_columns(shadow: &ShadowNames) -> Vec<String> {
        let ShadowNames { table, sealed, flag, .. } = shadow;
        let text = Self::SEALED_TYPE;
        vec![
            format!("ALTER TABLE {table} ADD COLUMN {sealed} {text}"),
            format!("ALTER TABLE {table} ADD COLUMN {flag} smallint"),
        ]
    }

    /// The type of a column that holds sealed texts of any length.
    #[doc(hidden)]
    const SEALED_TYPE: &'static str;

    /// The statements that make the triggers which keep both columns true.
    #[doc(hidden)]
    fn add_triggers(shadow: &ShadowNames) -> Vec<String>;

    /// The statements that drop them.
    #[doc(hidden)]
    fn drop_triggers(shadow: &ShadowNames) -> Vec<String>;

    /// Statements that let rows have no value in a retired column, of this name, where the database can do that.
    #[doc(hidden)]
    fn let_be_null(shadow: &ShadowNames, column: &str) -> Vec<String> {
        let _ = (shadow, column);
        Vec::new()
    }

    /// A statement that copies the plain column to the sealed one where that is empty, in at most this many
    /// rows.
    #[doc(hidden)]
    fn fill(shadow: &ShadowNames, rows: u32) -> String;
}

impl ShadowNames {
    /// A condition: whether a row has to be filled.
    pub(super) fn is_due(&self) -> String {
        format!("{} IS NULL AND {} IS NOT NULL", self.sealed, self.plain)
    }
}

/// The names of a shadow column in SQL, quoted where nothing else is said.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct ShadowNames {
    /// the table
    pub table: String,
    /// the table without its schema
    pub bare_table: String,
    /// the schema with its dot, or nothing
    pub schema: String,
    /// the columns of its id
    pub ids: Vec<String>,
    /// the column that old programs know
    pub plain: String,
    /// the column of the model
    pub sealed: String,
    /// the column by which a job says that the value stays the same
    pub flag: String,
    /// what triggers and functions are called, without quotes
    pub trigger: String,
    /// whether stored plaintext of the field is JSON
    pub is_json: bool,
}

/// What triggers say when a sealed text comes from anyone but a job.
pub(crate) const REFUSAL: &str =
    "pii: a sealed value cannot be written while other programs use its plain column";

/// What triggers say when a value can't be converted: the database's own message would quote it.
pub(crate) const UNFIT: &str = "pii: the plain column cannot hold the value of the sealed one";

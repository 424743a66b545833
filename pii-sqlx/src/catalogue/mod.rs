//! What a database says about its tables: one file for each.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
#[cfg(feature = "sqlite")]
mod sqlite;
mod words;

use futures_core::{future::BoxFuture, stream::BoxStream};

pub(crate) use rows::{Rows, unread};
pub(crate) use words::{Word, checks, mentions, words};

use crate::{ddl::DdlDatabase, dialect::Dialect};

/// A database whose catalogue [`Doctor`](crate::Doctor), [`Ddl`](crate::Ddl) and
/// [`ColumnLimits`](crate::ColumnLimits) know: each that has tables.
#[diagnostic::on_unimplemented(message = "the catalogue of `{Self}` is not known here")]
pub trait Catalogue: Dialect + DdlDatabase {
    /// An expression for the number of bytes of this text.
    #[doc(hidden)]
    fn bytes(text: &str) -> String;

    /// What is known of this table or view; nothing, if there is none of this name.
    #[doc(hidden)]
    fn describe<'c>(
        connection: &'c mut Self::Connection,
        name: &'c str,
    ) -> BoxFuture<'c, pii_core::Result<Option<Table>>>;

    /// The types of the columns that this query gives. It is not run.
    #[doc(hidden)]
    fn types_of<'c>(
        connection: &'c mut Self::Connection,
        query: String,
    ) -> BoxFuture<'c, sqlx::Result<Vec<Self::TypeInfo>>>;

    /// The rows of this query, one by one.
    #[doc(hidden)]
    fn stream<'c>(
        connection: &'c mut Self::Connection,
        query: String,
    ) -> BoxStream<'c, sqlx::Result<Self::Row>>;

    /// Whether sqlx's type says nothing about the values in the column.
    #[doc(hidden)]
    fn is_any_type(info: &Self::TypeInfo) -> bool;
}

/// A table or view.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Table {
    pub(crate) columns: Vec<Column>,
    pub(crate) indexes: Vec<Index>,
    pub(crate) checks: Vec<Check>,
    pub(crate) dependents: Vec<Dependent>,
    pub(crate) is_view: bool,
}

impl Table {
    pub(crate) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The names of the columns that stand in this piece of SQL.
    pub(crate) fn mentioned_in(&self, sql: &str) -> Vec<String> {
        let names = self.columns.iter().map(|column| &column.name);
        names.filter(|name| mentions(sql, name)).cloned().collect()
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// the type, as the database writes it
    pub(crate) declared: String,
    pub(crate) form: Form,
    /// where longer texts are refused or cut
    pub(crate) room: Option<Room>,
    pub(crate) is_nullable: bool,
    /// the collation, if texts that differ are equal in it
    pub(crate) loose_collation: Option<String>,
}

/// How a column holds text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// as it is
    Text,
    /// padded or trimmed: `CHAR(n)`
    Padded,
    /// it is of another type, and the database takes texts in it as they are
    Lenient,
    /// not at all
    Unfit,
}

/// How much fits into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Chars(usize),
    Bytes(usize),
}

impl Room {
    /// As characters of sealed text, each of which is one byte.
    pub(crate) fn chars(self) -> usize {
        match self {
            Self::Chars(most) | Self::Bytes(most) => most,
        }
    }

    /// Whether it is that of a `TEXT` of MySQL, which is enough for everything but documents.
    pub(crate) fn is_roomy(self) -> bool {
        self.chars() >= 65_535
    }
}

#[derive(Debug)]
pub(crate) struct Index {
    pub(crate) name: String,
    /// the columns that are its key, if it is made of columns alone and of all rows
    pub(crate) key: Option<Vec<String>>,
    /// every column in it, those of expressions and conditions too
    pub(crate) columns: Vec<String>,
    pub(crate) is_unique: bool,
    pub(crate) is_valid: bool,
    /// columns that it compares by a collation in which texts that differ are equal
    pub(crate) loose_columns: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) name: String,
    pub(crate) definition: String,
    pub(crate) columns: Vec<String>,
    pub(crate) is_validated: bool,
}

impl Check {
    /// Whether it lets only sealed text into this column. Who writes it otherwise is told that there is none.
    pub(crate) fn keeps_sealed(&self, column: &str) -> bool {
        self.definition.contains("ENC:") && self.columns.iter().any(|name| name == column)
    }
}

/// What uses columns of a table, apart from its own indexes and checks.
#[derive(Debug)]
pub(crate) struct Dependent {
    pub(crate) kind: DependentKind,
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "not every database has all of them")]
pub(crate) enum DependentKind {
    View,
    Trigger,
    Publication,
    GeneratedColumn,
    ForeignKey,
    Policy,
}

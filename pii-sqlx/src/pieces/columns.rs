//! The columns of a model, as SQL text.

use std::{borrow::Cow, fmt, marker::PhantomData};

use pii_core::PiiModel;
use sqlx::Database;

use crate::{
    dialect::Dialect,
    joined,
    model::SqlModel,
    statement::{quoted_name, quoted_table},
};

/// The columns of a model, for a SELECT or INSERT that you write yourself: displayed, they are
/// `"id", "tenant", "email"`, quoted as the database does.
///
/// ```
/// # use pii::{Columns, EncryptedStr, PiiModel};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers")]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// use sqlx::Sqlite;
///
/// let columns = Columns::<Customer, Sqlite>::new();
/// assert_eq!(columns.to_string(), "`id`, `email`");
/// assert_eq!(columns.of("c").to_string(), "`c`.`id`, `c`.`email`");
/// assert_eq!(columns.of("c").prefixed("c_").to_string(), "`c`.`id` AS `c_id`, `c`.`email` AS `c_email`");
/// assert_eq!(columns.joined().to_string(), "`id` AS `customer.id`, `email` AS `customer.email`");
/// ```
///
/// Nothing in it comes from outside the program, so it may go into
/// [`AssertSqlSafe`](sqlx::AssertSqlSafe), or into [`QueryBuilder::push`](sqlx::QueryBuilder::push). The
/// same text is on [`SqlTable::columns`](crate::SqlTable::columns).
pub struct Columns<M, DB> {
    table: Option<Cow<'static, str>>,
    prefix: Option<String>,
    model: PhantomData<fn() -> (M, DB)>,
}

// The bounds stand on the functions, so that an error tells which of them is broken.
impl<M, DB> Columns<M, DB> {
    /// All columns of the model, in the order of its fields.
    #[must_use]
    pub fn new() -> Self
    where
        M: SqlModel<DB>,
        DB: Dialect,
    {
        Self { table: None, prefix: None, model: PhantomData }
    }

    /// Of this table, or the alias that it has in the statement: `"c"."id", "c"."email"`. It is quoted, so
    /// for Postgres write it as it is there: in lower case, unless it was quoted too.
    #[must_use]
    pub fn of(&self, table: impl Into<Cow<'static, str>>) -> Self {
        Self { table: Some(table.into()), prefix: self.prefix.clone(), model: PhantomData }
    }

    /// Renamed, each with this before its name: `"id" AS "c_id"`. Read them with
    /// [`FromPrefixedRow`](crate::FromPrefixedRow).
    #[must_use]
    pub fn prefixed(&self, prefix: impl Into<String>) -> Self {
        Self { table: self.table.clone(), prefix: Some(prefix.into()), model: PhantomData }
    }

    /// Renamed as [`Joined`](crate::Joined) reads them: `"id" AS "customer.id"`.
    #[must_use]
    pub fn joined(&self) -> Self
    where
        M: PiiModel,
    {
        self.prefixed(joined::prefix(Some(M::MODEL)))
    }
}

impl<M: SqlModel<DB>, DB: Dialect> fmt::Display for Columns<M, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = match &self.table {
            Some(table) => format!("{}.", quoted_table::<DB>(table).map_err(|_| fmt::Error)?),
            None => String::new(),
        };
        for (index, column) in M::COLUMNS.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            f.write_str(&table)?;
            f.write_str(&quoted_name::<DB>(column.name))?;
            if let Some(prefix) = &self.prefix {
                write!(f, " AS {}", quoted_name::<DB>(&format!("{prefix}{}", column.name)))?;
            }
        }
        Ok(())
    }
}

impl<M: SqlModel<DB>, DB: Dialect> Default for Columns<M, DB> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M, DB> Clone for Columns<M, DB> {
    fn clone(&self) -> Self {
        Self { table: self.table.clone(), prefix: self.prefix.clone(), model: PhantomData }
    }
}

impl<M, DB: Database> fmt::Debug for Columns<M, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Columns")
            .field("database", &DB::NAME)
            .field("table", &self.table)
            .field("prefix", &self.prefix)
            .finish()
    }
}

//! A statement in the making: its text and its arguments. All SQL text of this crate is written
//! through it.

use std::fmt::Write as _;

use pii_core::{Error, ErrorKind, Result};
use sqlx::{
    Arguments as _, AssertSqlSafe, Database, Encode, IntoArguments, Type,
    database::HasStatementCache,
    error::BoxDynError,
    query::{Query, QueryAs},
};

use crate::dialect::Dialect;

/// SQL text with the values for its placeholders.
pub struct Statement<DB: Database> {
    sql: String,
    arguments: DB::Arguments,
    bind_text: fn(&mut DB::Arguments, Option<String>) -> Result<(), BoxDynError>,
    is_reused: bool,
}

impl<DB: Dialect> Statement<DB> {
    pub(crate) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            arguments: DB::Arguments::default(),
            bind_text: DB::bind_text,
            is_reused: true,
        }
    }
}

impl<DB: Database> Statement<DB> {
    /// Keeps the statement out of the connection's cache of prepared statements.
    pub(crate) fn once(mut self) -> Self {
        self.is_reused = false;
        self
    }

    /// Appends SQL, which never holds anything from outside.
    pub(crate) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Appends the name of a column, quoted.
    pub(crate) fn push_name(&mut self, name: &str) {
        quote(name, &mut self.sql);
    }

    /// Appends names of columns, quoted and separated by commas.
    pub(crate) fn push_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for (index, name) in names.into_iter().enumerate() {
            if index > 0 {
                self.sql.push_str(", ");
            }
            self.push_name(name);
        }
    }

    /// Appends a placeholder for this value.
    pub(crate) fn bind<'t, T>(&mut self, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, DB> + Type<DB>,
    {
        self.arguments.add(value)?;
        self.placeholder()
    }

    /// Appends a placeholder for this text or NULL.
    pub(crate) fn bind_text(&mut self, text: Option<String>) -> Result<(), BoxDynError> {
        (self.bind_text)(&mut self.arguments, text)?;
        self.placeholder()
    }

    fn placeholder(&mut self) -> Result<(), BoxDynError> {
        self.arguments.format_placeholder(&mut self.sql).map_err(Into::into)
    }
}

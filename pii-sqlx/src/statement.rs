//! A statement in the making: its text and its arguments. All SQL text of this crate is written
//! through it.

use std::sync::Arc;

use pii_core::{Error, ErrorKind, Result};
use sqlx::{Arguments as _, AssertSqlSafe, Database, Encode, Type, error::BoxDynError, query::Query};

use crate::dialect::{Dialect, ExactText, Measure};

/// About as long as a placeholder is with its comma.
const PLACEHOLDER_BYTES: usize = 6;

/// Adds a text or NULL, and gives the text if it is to be held until the statement has run.
type BindText<DB> =
    fn(&mut <DB as Database>::Arguments, Option<Arc<str>>) -> Result<Option<Arc<str>>, BoxDynError>;

/// SQL text with the values for its placeholders.
pub struct Statement<DB: Database> {
    sql: String,
    arguments: DB::Arguments,
    bind_text: BindText<DB>,
    exact_text: Option<ExactText<DB>>,
    measured: Option<Measured<DB>>,
    shared: Vec<Arc<str>>,
    quote: char,
    is_reused: bool,
}

/// The values of a statement so far.
struct Measured<DB: Database> {
    measure: Measure<DB>,
    buffer: DB::ArgumentBuffer,
    bytes: usize,
}

/// A statement that is ready to be sent.
pub struct Finished<DB: Database> {
    pub(crate) query: Query<'static, DB, DB::Arguments>,
    /// The texts that a driver shares with us, to be held until it has run the statement: a driver with a
    /// thread of its own would otherwise free there what was allocated here, and the two threads wait for
    /// the allocator's lock more than for each other.
    pub(crate) shared: Vec<Arc<str>>,
}

impl<DB: Dialect> Statement<DB> {
    pub(crate) fn new(sql: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            arguments: DB::Arguments::default(),
            bind_text: DB::bind_text,
            exact_text: DB::EXACT_TEXT,
            measured: None,
            shared: Vec::new(),
            quote: DB::QUOTE,
            is_reused: true,
        }
    }

    /// The same statement again.
    pub(crate) fn duplicate(&self) -> Self {
        Self {
            sql: self.sql.clone(),
            arguments: self.arguments.clone(),
            shared: self.shared.clone(),
            measured: None,
            ..*self
        }
    }

    /// Measures the values that are bound from now on.
    pub(crate) fn measured(mut self) -> Self {
        self.measured =
            DB::MAX_BYTES.map(|measure| Measured { buffer: (measure.buffer)(), measure, bytes: 0 });
        self
    }

    /// Appends a placeholder for this number.
    pub(crate) fn bind_number(&mut self, number: i64) -> Result<(), BoxDynError> {
        DB::bind_number(&mut self.arguments, number)?;
        self.push_placeholder()
    }

    /// Ready to be sent.
    pub(crate) fn finish(self) -> Finished<DB> {
        // every part of the text was written by this crate; names are quoted, values are arguments
        let query = sqlx::query_with(AssertSqlSafe(self.sql), self.arguments).persistent(self.is_reused);
        Finished { query, shared: self.shared }
    }
}

impl<DB: Database> Statement<DB> {
    /// Whether the next row should go into another statement.
    pub(crate) fn is_full(&self) -> bool {
        self.measured.as_ref().is_some_and(|measured| measured.bytes >= measured.measure.limit)
    }

    /// Keeps the statement out of the connection's cache of prepared statements.
    pub(crate) fn once(mut self) -> Self {
        self.is_reused = false;
        self
    }

    /// Appends SQL that holds nothing from outside.
    pub(crate) fn push(&mut self, sql: &str) {
        self.sql.push_str(sql);
    }

    /// Appends the name of a column, quoted.
    pub(crate) fn push_name(&mut self, name: &str) {
        quote(name, self.quote, &mut self.sql);
    }

    /// Appends names of columns, quoted and separated by commas.
    pub(crate) fn push_names<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        self.push_each(names, |statement, name| statement.push_name(name));
    }

    /// Appends something for each name, separated by commas.
    pub(crate) fn push_each<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
        mut push: impl FnMut(&mut Self, &'n str),
    ) {
        for (index, name) in names.into_iter().enumerate() {
            if index > 0 {
                self.push(", ");
            }
            push(self, name);
        }
    }

    /// Makes room for this many rows of this many arguments.
    pub(crate) fn reserve(&mut self, rows: usize, columns: usize) {
        let arguments = rows.saturating_mul(columns);
        self.arguments.reserve(arguments, 0);
        self.shared.reserve(arguments);
        self.sql.reserve(arguments.saturating_mul(PLACEHOLDER_BYTES));
    }

    /// Appends a placeholder for this value.
    pub(crate) fn bind<'t, T>(&mut self, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, DB> + Type<DB>,
    {
        if let Some(Measured { measure, buffer, bytes }) = &mut self.measured {
            // what fails here fails below
            let _ = value.encode_by_ref(buffer);
            *bytes = bytes.saturating_add((measure.take)(buffer));
        }
        self.arguments.add(value)?;
        self.push_placeholder()
    }

    /// Appends that this column holds the very text, if it is text and `=` does not say so already.
    pub(crate) fn bind_exact_text<'t, T>(&mut self, name: &str, value: T) -> Result<(), BoxDynError>
    where
        T: Encode<'t, DB> + Type<DB>,
    {
        let Some(ExactText { is_text, around: [before, between, after] }) = self.exact_text else {
            return Ok(());
        };
        if is_text(&value.produces().unwrap_or_else(T::type_info)) {
            self.push(before);
            self.push_name(name);
            self.push(between);
            self.bind(value)?;
            self.push(after);
        }
        Ok(())
    }

    /// Appends a placeholder for this text or NULL.
    pub(crate) fn bind_text(&mut self, text: Option<Arc<str>>) -> Result<(), BoxDynError> {
        if let (Some(measured), Some(text)) = (&mut self.measured, &text) {
            measured.bytes = measured.bytes.saturating_add(text.len());
        }
        self.shared.extend((self.bind_text)(&mut self.arguments, text)?);
        self.push_placeholder()
    }

    /// The text alone.
    pub(crate) fn into_sql(self) -> String {
        self.sql
    }

    #[cfg(test)]
    pub(crate) fn sql(&self) -> &str {
        &self.sql
    }

    fn push_placeholder(&mut self) -> Result<(), BoxDynError> {
        Ok(self.arguments.format_placeholder(&mut self.sql)?)
    }
}

/// The quoted form of a name.
pub(crate) fn quoted_name<DB: Dialect>(name: &str) -> String {
    let mut quoted = String::new();
    quote(name, DB::QUOTE, &mut quoted);
    quoted
}

/// The quoted form of a table's name. A dot separates a schema from the table.
pub(crate) fn quoted_table<DB: Dialect>(name: &str) -> Result<String> {
    quoted_path(name, DB::QUOTE)
}

fn quoted_path(name: &str, mark: char) -> Result<String> {
    let mut quoted = String::with_capacity(name.len() + 5);
    for (index, part) in name.split('.').enumerate() {
        if part.is_empty() || part.contains('\0') {
            return Err(Error::new(ErrorKind::Configuration)
                .message("the name of a table is empty or has an empty part"));
        }
        if index > 0 {
            quoted.push('.');
        }
        quote(part, mark, &mut quoted);
    }
    Ok(quoted)
}

fn quote(name: &str, mark: char, out: &mut String) {
    out.push(mark);
    for character in name.chars() {
        if character == mark {
            out.push(mark);
        }
        out.push(character);
    }
    out.push(mark);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(quoted_path("customers", '"').unwrap(), r#""customers""#);
        assert_eq!(quoted_path("crm.customers", '"').unwrap(), r#""crm"."customers""#);
        assert_eq!(quoted_path(r#"a"; drop table b; --"#, '"').unwrap(), r#""a""; drop table b; --""#);
        assert_eq!(quoted_path("a`b", '`').unwrap(), "`a``b`");
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", ".", "a.", ".a", "a..b", "a\0"] {
            assert_eq!(quoted_path(name, '"').unwrap_err().kind(), ErrorKind::Configuration, "{name:?}");
        }
    }
}

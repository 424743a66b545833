//! Statements to be run by hand or by a migration.

use std::{fmt, slice, vec};

use serde::Serialize;

/// Statements that define tables, in the order in which they are to be run. None of them was run.
///
/// `Display` gives a script, with a comment where a statement needs something of the transaction around it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DdlStatements(pub(super) Vec<DdlStatement>);

/// A statement that defines something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DdlStatement {
    /// What it does.
    pub kind: DdlKind,
    /// The statement, without a semicolon.
    pub sql: String,
    /// What it needs of the transaction around it.
    pub transaction: DdlTransaction,
    /// What it locks or reads, where that matters; otherwise empty.
    pub note: String,
}

/// What a [`DdlStatement`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DdlKind {
    /// It creates the table.
    CreateTable,
    /// It adds a column.
    AddColumn,
    /// It makes a column one of text.
    ChangeType,
    /// It lets NULL into a column.
    DropNotNull,
    /// It keeps plaintext out of a column from now on.
    AddCheck,
    /// It makes sure that there is none from before.
    ValidateCheck,
    /// It creates an index.
    CreateIndex,
}

/// What a [`DdlStatement`] needs of the transaction around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum DdlTransaction {
    /// Nothing.
    Any,
    /// A transaction of its own: whatever else is in it would keep its lock for as long as this takes, or the other
    /// way round.
    Own,
    /// None: the database refuses it inside of a transaction.
    Outside,
}

impl DdlStatement {
    pub(super) fn new(kind: DdlKind, sql: impl Into<String>) -> Self {
        Self { kind, sql: sql.into(), transaction: DdlTransaction::Any, note: String::new() }
    }

    pub(super) fn transaction(mut self, transaction: DdlTransaction) -> Self {
        self.transaction = transaction;
        self
    }

    pub(super) fn note(mut self, note: &str) -> Self {
        note.clone_into(&mut self.note);
        self
    }
}

impl DdlStatements {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The statements.
    pub fn iter(&self) -> slice::Iter<'_, DdlStatement> {
        self.0.iter()
    }
}

impl IntoIterator for DdlStatements {
    type Item = DdlStatement;
    type IntoIter = vec::IntoIter<DdlStatement>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a DdlStatements {
    type Item = &'a DdlStatement;
    type IntoIter = slice::Iter<'a, DdlStatement>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for DdlStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let transaction = match self.transaction {
            DdlTransaction::Any => "",
            DdlTransaction::Own => "in a transaction of its own",
            DdlTransaction::Outside => "outside of a transaction",
        };
        let comments = [transaction, &self.note];
        let comments: Vec<_> = comments.into_iter().filter(|comment| !comment.is_empty()).collect();
        if !comments.is_empty() {
            writeln!(f, "-- {}", comments.join("; "))?;
        }
        write!(f, "{};", self.sql)
    }
}

impl fmt::Display for DdlStatements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, statement) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{statement}")?;
        }
        Ok(())
    }
}

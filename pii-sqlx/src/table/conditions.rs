//! Filters as SQL.

use pii_core::{Comparison, Condition, Error, ErrorKind, FieldSpec, Operand, Result};

use super::SqlTable;
use crate::{dialect::Dialect, error, model::SqlModel, operand::OperandBinder, statement::Statement};

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// Appends ` WHERE ("city" = $1 AND "phone" IS NULL) AND ...`, with the scope of the cryptor.
    pub(super) fn push_filter(&self, statement: &mut Statement<DB>, condition: &Condition) -> Result<()> {
        let operands = count(condition);
        if operands >= DB::MAX_PARAMETERS {
            return Err(Error::new(ErrorKind::TooLarge)
                .model(M::MODEL.name())
                .message(format!("the filter has {operands} values, more than a statement may have"))
                .help("search for a part of them at a time"));
        }
        statement.push(" WHERE ");
        push::<M, DB>(statement, condition)?;
        self.push_told_scope(statement)
    }
}

fn push<M: SqlModel<DB>, DB: Dialect>(statement: &mut Statement<DB>, condition: &Condition) -> Result<()> {
    match condition {
        Condition::All => statement.push("1 = 1"),
        Condition::Compare(field, comparison, operand) => {
            statement.push_name(field.column());
            statement.push(sign(*comparison));
            bind::<M, DB>(statement, field, operand)?;
        }
        Condition::In(_, operands) if operands.is_empty() => statement.push("1 = 0"),
        Condition::In(field, operands) => {
            statement.push_name(field.column());
            statement.push(" IN (");
            for (index, operand) in operands.iter().enumerate() {
                statement.push(if index > 0 { ", " } else { "" });
                bind::<M, DB>(statement, field, operand)?;
            }
            statement.push(")");
        }
        Condition::Like(field, pattern) => {
            statement.push_name(field.column());
            statement.push(" LIKE ");
            statement
                .bind_text(Some(pattern.clone()))
                .map_err(|source| error::at_column(error::not_encoded(source), M::MODEL, field.column()))?;
        }
        Condition::Absent(field) => {
            statement.push_name(column_of::<M, DB>(field)?);
            statement.push(" IS NULL");
        }
        Condition::Present(field) => {
            statement.push_name(column_of::<M, DB>(field)?);
            statement.push(" IS NOT NULL");
        }
        Condition::And(all) => push_all::<M, DB>(statement, all, " AND ", "1 = 1")?,
        Condition::Or(any) => push_all::<M, DB>(statement, any, " OR ", "1 = 0")?,
        _ => return Err(unknown::<M, DB>()),
    }
    Ok(())
}

fn push_all<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    conditions: &[Condition],
    separator: &str,
    of_none: &str,
) -> Result<()> {
    if conditions.is_empty() {
        statement.push(of_none);
        return Ok(());
    }
    statement.push("(");
    for (index, condition) in conditions.iter().enumerate() {
        statement.push(if index > 0 { separator } else { "" });
        push::<M, DB>(statement, condition)?;
    }
    statement.push(")");
    Ok(())
}

fn bind<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    field: &FieldSpec,
    operand: &Operand,
) -> Result<()> {
    let mut binder = OperandBinder::new(statement, operand);
    // no position among the columns, of which a nested struct has several
    if let Some(place) = M::MODEL.fields().iter().position(|known| known.column() == field.column()) {
        M::bind_operand(place, &mut binder);
    }
    match binder.finish() {
        Some(Ok(())) => Ok(()),
        Some(Err(source)) => Err(error::at_column(error::not_encoded(source), M::MODEL, field.column())),
        None => Err(Error::new(ErrorKind::Configuration)
            .field(M::MODEL.name(), field.name())
            .message("`SqlModel` can't bind a value of the filter to this column")
            .help("derive the model with `#[derive(PiiModel)]`")),
    }
}

/// The column of a field, which a nested struct with a prefix has not.
fn column_of<M: SqlModel<DB>, DB: Dialect>(field: &FieldSpec) -> Result<&'static str> {
    let column = M::COLUMNS.iter().find(|column| column.name == field.column());
    column.map(|column| column.name).ok_or_else(|| {
        Error::new(ErrorKind::Configuration)
            .field(M::MODEL.name(), field.name())
            .message("the nested struct has several columns and none of its own, so that nothing tells whether it is there")
            .help("write the query yourself, with a condition on one of its columns")
    })
}

fn unknown<M: SqlModel<DB>, DB: Dialect>() -> Error {
    Error::new(ErrorKind::Configuration)
        .model(M::MODEL.name())
        .message("the filter has a condition that tables do not know")
}

fn sign(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => " = ",
        Comparison::NotEqual => " <> ",
        Comparison::Less => " < ",
        Comparison::LessOrEqual => " <= ",
        Comparison::Greater => " > ",
        Comparison::GreaterOrEqual => " >= ",
    }
}

/// How many placeholders the condition takes.
fn count(condition: &Condition) -> usize {
    match condition {
        Condition::Compare(..) | Condition::Like(..) => 1,
        Condition::In(_, operands) => operands.len(),
        Condition::And(conditions) | Condition::Or(conditions) => conditions.iter().map(count).sum(),
        _ => 0,
    }
}

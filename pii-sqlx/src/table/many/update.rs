//! An UPDATE of many rows, each to values of its own.

use pii_core::{Error, ErrorKind, Result};

use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
    table::{SqlTable, indexes, no_id, rows::NewRow, update::version_of},
};

/// `WITH pii_new ("id", "a") AS (VALUES ($1, $2), ($3, $4)) UPDATE "t" AS pii_stored SET "a" = pii_new."a" FROM
/// pii_new WHERE pii_stored."id" = pii_new."id"`, and the same for the columns of the scope and the version.
pub(super) fn statement<M: SqlModel<DB>, DB: Dialect>(
    table: &SqlTable<M, DB>,
    rows: &mut [NewRow<'_, M>],
) -> Result<Statement<DB>> {
    let names = |wanted: fn(crate::model::ColumnKind) -> bool| {
        M::COLUMNS.iter().filter(move |column| wanted(column.kind)).map(|column| column.name)
    };
    check::<M, DB>(rows)?;
    let version = version_of::<M, DB>();
    let indexed = rows.first().map(NewRow::index_columns).unwrap_or_default();
    let mut statement = Statement::new("WITH pii_new (");
    statement.push_names(M::COLUMNS.iter().map(|column| column.name).chain(indexed.iter().copied()));
    statement.push(") AS (VALUES ");
    statement.reserve(rows.len(), M::COLUMNS.len());
    for (index, row) in rows.iter_mut().enumerate() {
        statement.push(if index > 0 { ", (" } else { "(" });
        let codes: Vec<_> = indexes::written(row.texts.indexes()).collect();
        let mut binder =
            Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Values, Some(&mut row.texts))
                .within(table.limits.as_ref());
        row.model.bind_columns(&mut binder);
        binder.finish()?;
        for (_, code) in codes {
            statement.push(", ");
            indexes::bind::<M, DB>(&mut statement, code)?;
        }
        statement.push(")");
    }
    statement.push(") UPDATE ");
    statement.push(table.name()?);
    statement.push(" AS pii_stored SET ");
    statement.push_each(names(|kind| !kind.is_id()).chain(indexed.iter().copied()), |statement, name| {
        statement.push_name(name);
        statement.push(" = ");
        if Some(name) == version {
            statement.push("pii_stored.");
            statement.push_name(name);
            statement.push(" + 1");
        } else {
            statement.push("pii_new.");
            statement.push_name(name);
        }
    });
    statement.push(" FROM pii_new WHERE ");
    let scope = table.scope_columns()?;
    let kept = rows.first().map(|row| indexes::kept::<M, DB>(row.texts.indexes())).unwrap_or_default();
    for (index, name) in names(|kind| kind.is_id()).chain(scope).chain(kept).chain(version).enumerate() {
        statement.push(if index > 0 { " AND pii_stored." } else { "pii_stored." });
        statement.push_name(name);
        statement.push(" = pii_new.");
        statement.push_name(name);
    }
    if let Some(id) = names(|kind| kind.is_id()).next() {
        DB::push_found_by(&mut statement, id);
    }
    Ok(statement)
}

/// Refuses what cannot be updated by its id.
pub(super) fn check<M: SqlModel<DB>, DB: Dialect>(rows: &[NewRow<'_, M>]) -> Result<()> {
    let kinds = || M::COLUMNS.iter().map(|column| column.kind);
    if !kinds().any(|kind| kind.is_id()) {
        return Err(no_id::<M>());
    }
    if kinds().all(|kind| kind.is_id()) {
        return Err(Error::new(ErrorKind::Configuration)
            .model(M::MODEL.name())
            .message("the model has no column to update but its id"));
    }
    match rows.iter().find_map(|row| row.omitted.first()) {
        Some(column) => Err(error::at_column(Error::new(ErrorKind::State), M::MODEL, column)
            .message("the row's id is not known yet")
            .help("insert the row with `.returning_id()`, or load it")),
        None => Ok(()),
    }
}

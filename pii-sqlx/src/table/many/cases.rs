//! An UPDATE of many rows, each to values of its own, where a list of values would not keep their types.

use std::sync::Arc;

use pii_core::Result;

use super::update::check;
use crate::{
    binder::{Binder, Part},
    dialect::{Cases, Dialect},
    error,
    model::{SqlColumn, SqlModel},
    model_types::ColumnTypes,
    statement::Statement,
    table::{
        SqlTable, indexes,
        rows::NewRow,
        update::{push_next_version, version_of},
    },
};

/// A column, and what stands before and after its values.
type Data = (&'static SqlColumn, [&'static str; 2]);

impl<DB: Dialect> Cases<DB> {
    /// How many rows such as this one a statement can have.
    pub(super) fn most_rows<M: SqlModel<DB>>(&self, row: &NewRow<'_, M>) -> usize {
        let Some(data) = data::<M, DB>(self) else { return 1 };
        // a condition may have two placeholders for a column: the second compares texts exactly
        let ids = 2 * M::COLUMNS.iter().filter(|column| column.kind.is_id()).count();
        let set = data.len() + row.index_columns().len();
        let parameters = (2 * M::COLUMNS.len()).saturating_add(set.saturating_mul(ids + 1));
        self.rows.min(DB::MAX_PARAMETERS / parameters.max(1)).max(1)
    }
}

/// `UPDATE "t" SET "a" = CASE WHEN "id" = $1 THEN $2 WHEN "id" = $3 THEN $4 END, "version" = "version" + 1 WHERE
/// ("id" = $5 AND "version" = $6) OR ("id" = $7 AND "version" = $8)`, for as many of these rows as one statement
/// can take, and how many those are: at least one.
pub(super) fn statement<M: SqlModel<DB> + Sync, DB: Dialect>(
    table: &SqlTable<M, DB>,
    cases: &Cases<DB>,
    rows: &mut [NewRow<'_, M>],
) -> Result<(Statement<DB>, usize)> {
    check::<M, DB>(rows)?;
    let mut taken = rows.len();
    loop {
        let rows = rows.get(..taken).unwrap_or_default();
        let statement = of_all(table, cases, rows)?;
        if taken <= 1 || !statement.is_full() {
            return Ok((statement, taken));
        }
        taken /= 2;
    }
}

fn of_all<M: SqlModel<DB> + Sync, DB: Dialect>(
    table: &SqlTable<M, DB>,
    cases: &Cases<DB>,
    rows: &[NewRow<'_, M>],
) -> Result<Statement<DB>> {
    let mut statement = Statement::new("UPDATE ").measured();
    statement.push(table.name()?);
    statement.push(" SET ");
    let mut sealed = sealed_texts(table, rows)?;
    let mut is_begun = false;
    for (column, around) in data::<M, DB>(cases).unwrap_or_default() {
        let mut texts =
            if column.kind.is_sealed() { sealed.next() } else { None }.unwrap_or_default().into_iter();
        push_cases(&mut statement, column.name, &mut is_begun, around, rows, |statement, row| {
            if column.kind.is_sealed() {
                let bound = statement.bind_text(texts.next().flatten());
                return bound
                    .map_err(|source| error::at_column(error::not_encoded(source), M::MODEL, column.name));
            }
            let named = [column.name];
            let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::Listed(&named), None);
            row.model.bind_columns(&mut binder);
            binder.finish().map(drop)
        })?;
    }
    let indexed = rows.first().map(NewRow::index_columns).unwrap_or_default();
    for (at, name) in indexed.into_iter().enumerate() {
        push_cases(&mut statement, name, &mut is_begun, ["", ""], rows, |statement, row| {
            let code = indexes::written(row.texts.indexes()).nth(at).ok_or_else(indexes::differ::<M>)?;
            indexes::bind::<M, DB>(statement, code.1)
        })?;
    }
    if let Some(name) = version_of::<M, DB>() {
        statement.push(if is_begun { ", " } else { "" });
        push_next_version(&mut statement, name);
    }
    statement.push(" WHERE (");
    for (index, row) in rows.iter().enumerate() {
        statement.push(if index > 0 { ") OR (" } else { "" });
        let kept = indexes::kept::<M, DB>(row.texts.indexes());
        let mut texts = (!kept.is_empty()).then(|| row.texts.clone());
        table.push_unchanged(&mut statement, row.model, &kept, texts.as_mut())?;
    }
    statement.push(")");
    Ok(statement)
}

/// Appends `"a" = CASE WHEN "id" = $1 THEN $2 WHEN "id" = $3 THEN $4 END`.
fn push_cases<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    column: &str,
    is_begun: &mut bool,
    [before, after]: [&str; 2],
    rows: &[NewRow<'_, M>],
    mut bind: impl FnMut(&mut Statement<DB>, &NewRow<'_, M>) -> Result<()>,
) -> Result<()> {
    statement.push(if *is_begun { ", " } else { "" });
    *is_begun = true;
    statement.push_name(column);
    statement.push(" = CASE");
    for row in rows {
        statement.push(" WHEN ");
        let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::ExactId, None);
        row.model.bind_own_id(&mut binder);
        binder.finish()?;
        statement.push(" THEN ");
        statement.push(before);
        bind(statement, row)?;
        statement.push(after);
    }
    statement.push(" END");
    Ok(())
}

/// The texts of the sealed columns, column by column.
fn sealed_texts<M: SqlModel<DB>, DB: Dialect>(
    table: &SqlTable<M, DB>,
    rows: &[NewRow<'_, M>],
) -> Result<std::vec::IntoIter<Vec<Option<Arc<str>>>>> {
    let mut columns = vec![Vec::new(); M::COLUMNS.iter().filter(|column| column.kind.is_sealed()).count()];
    for row in rows {
        let (mut nowhere, mut texts) = (Statement::new(""), row.texts.clone());
        let mut binder = Binder::new(&mut nowhere, M::MODEL, M::COLUMNS, Part::Texts, Some(&mut texts))
            .within(table.limits.as_ref());
        row.model.bind_columns(&mut binder);
        for (column, text) in columns.iter_mut().zip(binder.finish()?.taken) {
            column.push(text);
        }
    }
    Ok(columns.into_iter())
}

/// The columns that an update sets to the model's values, with what stands around the values; `None` if one is of
/// a type that does not stay what it is.
fn data<M: SqlModel<DB>, DB: Dialect>(cases: &Cases<DB>) -> Option<Vec<Data>> {
    let mut types = ColumnTypes::new();
    M::column_types(&mut types);
    let types = types.into_vec();
    if types.len() != M::COLUMNS.len() {
        return None;
    }
    let typed = M::COLUMNS.iter().zip(types).filter(|(column, _)| column.kind.is_data());
    let around = |column: &SqlColumn, info: &DB::TypeInfo| match column.kind.is_sealed() {
        true => Some(["", ""]),
        false => (cases.around)(info),
    };
    typed.map(|(column, of)| Some((column, around(column, &of.info)?))).collect()
}

//! The statements that swap sealed values.

use std::{collections::HashSet, sync::Arc};

use pii_core::{Error, ErrorKind, IndexEntry, IndexText, Result};

use super::{SqlTable, Swap, failed, indexes, no_id, stored::Texts, update::version_of};
use crate::{
    binder::{Binder, Part},
    connection::Connection,
    dialect::Dialect,
    error,
    model::{SqlColumn, SqlModel},
    statement::{Statement, quoted_name},
};

/// At most so many rows in one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// What is to be written to one row.
pub(super) struct Changes<'a, M> {
    /// its index among the rows of the call
    pub(super) row: usize,
    pub(super) model: &'a M,
    columns: Vec<Change<'a>>,
    /// the columns of blind indexes that change with them
    indexes: Vec<(&'static str, Option<Arc<str>>)>,
    keeps_version: bool,
}

/// One text that takes the place of another.
struct Change<'a> {
    column: &'static str,
    /// may be plaintext: it is copied for the driver alone
    old: Option<&'a str>,
    new: Option<Arc<str>>,
}

impl Change<'_> {
    fn is_one(&self) -> bool {
        self.new.as_deref() != self.old
    }
}

/// The blind indexes of values that change.
#[derive(Default)]
struct Indexes {
    texts: Vec<(&'static str, Option<Arc<str>>)>,
    /// the columns that they are computed of: each must still hold what it held
    compared: Vec<&'static str>,
}

/// Those of the indexes that these changes concern. The others stay: their values may be others by now.
fn indexes_of<M: SqlModel<DB>, DB: Dialect>(
    entries: &[IndexEntry],
    columns: &[Change<'_>],
) -> Result<Indexes> {
    let mut found = Indexes::default();
    for index in M::MODEL.indexes() {
        let is_part = |change: &&Change<'_>| {
            change.is_one() && indexes::columns_of::<M, DB>(index).any(|column| column == change.column)
        };
        if !columns.iter().any(|change| is_part(&change)) {
            continue;
        }
        let of_index: Vec<_> = entries.iter().filter(|entry| indexes::is_of(entry, index)).cloned().collect();
        if of_index.iter().any(|entry| entry.text == IndexText::Unchanged) {
            return Err(Error::new(ErrorKind::State)
                .model(M::MODEL.name())
                .message(format!(
                    "another sealed text takes the place of the one that was loaded, and the blind index `{}` can't be \
                     computed of it unopened",
                    index.name()
                ))
                .help("open the value, or set it anew"));
        }
        found.texts.extend(indexes::written(&of_index));
        found.compared.extend(indexes::columns_of::<M, DB>(index));
    }
    Ok(found)
}

impl<M> Changes<'_, M> {
    pub(super) fn keep_version(&mut self) {
        self.keeps_version = true;
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().map(|change| change.column)
    }

    /// Those of blind indexes too.
    fn all_names(&self) -> impl Iterator<Item = &'static str> {
        self.names().chain(self.indexes.iter().map(|(column, _)| *column))
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Seals the models, and says what that changes in which row. Rows without a change are left out.
    pub(super) async fn changes<'a>(&self, rows: &[(&'a M, &'a Texts)]) -> Result<Vec<Changes<'a, M>>> {
        self.name()?;
        let models = rows.iter().map(|(model, _)| *model);
        let sealed = self.cryptor.seal_changes(models).await.map_err(error::of::<M>)?;
        let mut changed = Vec::with_capacity(rows.len());
        for (row, (&(model, stored), mut texts)) in rows.iter().zip(sealed).enumerate() {
            let entries = texts.indexes().to_vec();
            let mut nowhere = Statement::new("");
            let mut binder = Binder::new(&mut nowhere, M::MODEL, M::COLUMNS, Part::Texts, Some(&mut texts));
            model.bind_columns(&mut binder);
            let taken = binder.finish()?.taken;
            let mut columns: Vec<Change<'_>> = M::COLUMNS
                .iter()
                .filter(|column| column.kind.is_sealed())
                .zip(taken)
                .zip(stored)
                .map(|((column, new), old)| (column, new, old.as_ref().map(|old| old.as_str())))
                .map(|(column, new, old)| Change { column: column.name, old, new })
                .collect();
            let indexes = indexes_of::<M, DB>(&entries, &columns)
                .map_err(|error| error.row(self.written(|out| model.write_own_id(out))))?;
            columns.retain(|change| change.is_one() || indexes.compared.contains(&change.column));
            if !columns.is_empty() {
                changed.push(Changes { row, model, columns, indexes: indexes.texts, keeps_version: false });
            }
        }
        Ok(changed)
    }

    /// `UPDATE "t" SET "a" = $1 WHERE "id" = $2 AND "tenant" = $3 AND "a" = $4`
    pub(super) fn swap_one(
        &self,
        changes: &Changes<'_, M>,
        flags: &[(String, String)],
    ) -> Result<Statement<DB>> {
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        for (index, change) in changes.columns.iter().enumerate() {
            statement.push(if index > 0 { ", " } else { "" });
            statement.push_name(change.column);
            statement.push(" = ");
            bind_text::<M, DB>(&mut statement, change.column, change.new.clone())?;
        }
        for (column, text) in &changes.indexes {
            statement.push(", ");
            statement.push_name(column);
            statement.push(" = ");
            bind_text::<M, DB>(&mut statement, column, text.clone())?;
        }
        push_flags::<M, DB>(&mut statement, changes, flags);
        self.push_where(&mut statement, Part::ExactId, |binder| changes.model.bind_own_id(binder))?;
        let context = context_columns::<M, DB>();
        if !context.is_empty() {
            statement.push(" AND ");
            let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Named(&context), None);
            changes.model.bind_columns(&mut binder);
            binder.finish()?;
        }
        self.push_told_scope(&mut statement)?;
        for change in &changes.columns {
            statement.push(" AND ");
            let column = quoted_name::<DB>(change.column);
            match &change.old {
                None => statement.push(&format!("{column} IS NULL")),
                Some(old) => {
                    statement.push(&DB::exact(&column));
                    statement.push(" = ");
                    bind_text::<M, DB>(&mut statement, change.column, Some(Arc::from(*old)))?;
                }
            }
        }
        Ok(statement)
    }

    /// Runs a statement for each row, and says which rows have their new texts.
    pub(super) async fn swap_in_turn(
        &self,
        changes: &[Changes<'_, M>],
        flags: &[(String, String)],
        connection: &mut Connection<'_, DB>,
    ) -> Result<HashSet<usize>> {
        let mut swapped = HashSet::with_capacity(changes.len());
        for change in changes {
            let statement = self.swap_one(change, flags)?;
            if connection.execute(statement).await.map_err(failed::<M>)? > 0 {
                swapped.insert(change.row);
            }
        }
        Ok(swapped)
    }

    /// Runs a statement for many rows, and says which rows have their new texts.
    pub(super) async fn swap_by_values(
        &self,
        changes: &mut [Changes<'_, M>],
        flags: &[(String, String)],
        connection: &mut Connection<'_, DB>,
    ) -> Result<HashSet<usize>> {
        let mut swapped = HashSet::with_capacity(changes.len());
        changes.sort_by(|a, b| a.all_names().cmp(b.all_names()));
        let arguments = 2 * M::COLUMNS.len().max(1) + indexes::count::<M>();
        let rows = ROWS_PER_STATEMENT.min(DB::MAX_PARAMETERS / arguments).max(1);
        for alike in changes.chunk_by(|a, b| a.all_names().eq(b.all_names())) {
            for chunk in alike.chunks(rows) {
                let statement = self.swap_values(chunk, flags)?;
                // whole chunks have the same text and are prepared once; others hardly come again
                let statement = if chunk.len() == rows { statement } else { statement.once() };
                let found = connection.fetch(statement).await.map_err(failed::<M>)?;
                for row in &found {
                    let number = DB::number(row).map_err(failed::<M>)?;
                    swapped.extend(usize::try_from(number).ok().and_then(|n| chunk.get(n)).map(|c| c.row));
                }
            }
        }
        Ok(swapped)
    }

    /// `UPDATE "t" SET "a" = pii_v.n0 FROM (VALUES (0, $1, $2, $3, $4)) AS pii_v (n, k0, k1, o0, n0) WHERE
    /// "t"."id" = pii_v.k0 AND "t"."tenant" = pii_v.k1 AND "t"."a" IS NOT DISTINCT FROM pii_v.o0 RETURNING
    /// pii_v.n`, for rows of which the same columns change
    fn swap_values(&self, rows: &[Changes<'_, M>], flags: &[(String, String)]) -> Result<Statement<DB>> {
        let keys = key_columns::<M, DB>()?;
        let first = rows.first();
        let columns: Vec<&str> = first.map(|row| row.names().collect()).unwrap_or_default();
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" AS pii_t SET ");
        for (index, column) in columns.iter().enumerate() {
            statement.push(if index > 0 { ", " } else { "" });
            statement.push_name(column);
            statement.push(&format!(" = pii_v.n{index}"));
        }
        let indexed = first.map(|row| row.indexes.as_slice()).unwrap_or_default();
        for (index, (column, _)) in indexed.iter().enumerate() {
            statement.push(", ");
            statement.push_name(column);
            statement.push(&format!(" = pii_v.i{index}"));
        }
        if let Some(first) = first {
            push_flags::<M, DB>(&mut statement, first, flags);
        }
        statement.push(" FROM (VALUES ");
        statement.reserve(rows.len(), keys.len() + 2 * columns.len() + indexed.len());
        for (number, row) in rows.iter().enumerate() {
            statement.push(&format!("{}({number}, ", if number > 0 { ", " } else { "" }));
            let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Listed(&keys), None);
            row.model.bind_columns(&mut binder);
            binder.finish()?;
            for change in &row.columns {
                for text in [change.old.map(Arc::from), change.new.clone()] {
                    statement.push(", ");
                    bind_text::<M, DB>(&mut statement, change.column, text)?;
                }
            }
            for (column, text) in &row.indexes {
                statement.push(", ");
                bind_text::<M, DB>(&mut statement, column, text.clone())?;
            }
            statement.push(")");
        }
        statement.push(") AS pii_v (n");
        (0..keys.len()).for_each(|index| statement.push(&format!(", k{index}")));
        (0..columns.len()).for_each(|index| statement.push(&format!(", o{index}, n{index}")));
        (0..indexed.len()).for_each(|index| statement.push(&format!(", i{index}")));
        statement.push(") WHERE ");
        for (index, key) in keys.iter().enumerate() {
            let key = quoted_name::<DB>(key);
            statement.push(&format!("{}pii_t.{key} = pii_v.k{index}", if index > 0 { " AND " } else { "" }));
        }
        for (index, column) in columns.iter().enumerate() {
            let column = DB::exact(&format!("pii_t.{}", quoted_name::<DB>(column)));
            statement.push(&format!(" AND {column} IS NOT DISTINCT FROM pii_v.o{index}"));
        }
        self.push_told_scope_within(&mut statement, "pii_t.")?;
        statement.push(" RETURNING pii_v.n");
        Ok(statement)
    }

    pub(crate) async fn why_not_swapped(
        &self,
        model: &M,
        connection: &mut Connection<'_, DB>,
    ) -> Result<Swap> {
        let mut statement = Statement::new("SELECT 1 FROM ");
        statement.push(self.name()?);
        self.push_where(&mut statement, Part::ExactId, |binder| model.bind_own_id(binder))?;
        self.push_told_scope(&mut statement)?;
        let rows = connection.fetch(statement).await.map_err(failed::<M>)?;
        Ok(if rows.is_empty() { Swap::Gone } else { Swap::Changed })
    }
}

/// Appends `, "flag" = 1` for flagged columns, and the next version.
fn push_flags<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    changes: &Changes<'_, M>,
    flags: &[(String, String)],
) {
    for (_, flag) in flags.iter().filter(|(column, _)| changes.names().any(|name| name == column)) {
        statement.push(", ");
        statement.push_name(flag);
        statement.push(" = 1");
    }
    if let Some(version) = version_of::<M, DB>().filter(|_| !changes.keeps_version) {
        statement.push(", ");
        statement.push_name(version);
        statement.push(" = ");
        statement.push_name(version);
        statement.push(" + 1");
    }
}

pub(crate) fn bind_text<M: SqlModel<DB>, DB: Dialect>(
    statement: &mut Statement<DB>,
    column: &str,
    text: Option<Arc<str>>,
) -> Result<()> {
    statement.bind_text(text).map_err(|source| error::at_column(error::not_encoded(source), M::MODEL, column))
}

/// The columns that the encryption context is made of.
pub(crate) fn context_columns<M: SqlModel<DB>, DB: Dialect>() -> Vec<&'static str> {
    let columns = M::MODEL.context_fields().map(|field| field.column());
    columns
        .filter(|name| M::COLUMNS.iter().any(|column| column.name == *name && column.kind.is_data()))
        .collect()
}

/// The columns of the id and of the encryption context, in the order of all columns.
pub(crate) fn key_columns<M: SqlModel<DB>, DB: Dialect>() -> Result<Vec<&'static str>> {
    let context = context_columns::<M, DB>();
    if !M::COLUMNS.iter().any(|column| column.kind.is_id()) {
        return Err(no_id::<M>());
    }
    let is_key = |column: &&SqlColumn| column.kind.is_id() || context.contains(&column.name);
    Ok(M::COLUMNS.iter().filter(is_key).map(|column| column.name).collect())
}

//! What keeps statements that write by id inside the scope of the cryptor.

use pii_core::{ContextPart, Cryptor, Error, ErrorKind, PiiModel, Result};

use super::{SqlTable, swapping::context_columns};
use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::{Statement, quoted_name},
};

/// A column that is part of the encryption context, and what it must hold.
struct Bounds<'a> {
    column: &'static str,
    is_id: bool,
    is_stored_text: bool,
    value: &'a str,
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// The columns that the scope is about. A pair that is made of a field by an expression has none.
    fn bounds(&self) -> Result<Vec<Bounds<'_>>> {
        let Some(scope) = self.cryptor.scope().map_err(error::of::<M>)? else { return Ok(Vec::new()) };
        let mut bounds = Vec::new();
        for (name, value) in scope.pairs() {
            let part = M::MODEL.context().iter().find(|part| part.name == name);
            if part.is_none_or(|part| part.literal.is_some_and(|literal| literal != value)) {
                return Err(Error::new(ErrorKind::ContextMismatch).model(M::MODEL.name()).message(format!(
                    "every row of the model is outside the scope of this cryptor: `{name}` differs"
                )));
            }
            let column = part.and_then(|part| part.column);
            if let Some(column) = M::COLUMNS.iter().find(|known| Some(known.name) == column) {
                let is_stored_text = part.is_some_and(|part| part.is_stored_text);
                bounds.push(Bounds {
                    column: column.name,
                    is_id: column.kind.is_id(),
                    is_stored_text,
                    value,
                });
            }
        }
        Ok(bounds)
    }

    /// Whether columns tell all of the scope, as text.
    pub(crate) fn columns_tell_scope(&self) -> Result<bool> {
        let Some(scope) = self.cryptor.scope().map_err(error::of::<M>)? else { return Ok(true) };
        let parts =
            scope.pairs().filter_map(|(name, _)| M::MODEL.context().iter().find(|part| part.name == name));
        let is_told = |part: &ContextPart| {
            let is_column = |column| M::COLUMNS.iter().any(|known| known.name == column);
            part.literal.is_some() || (part.is_stored_text && part.column.is_some_and(is_column))
        };
        Ok(parts.into_iter().all(is_told))
    }

    /// Leaves out the rows outside the scope that a statement could not leave out.
    pub(super) fn retain_in_scope(&self, models: &mut Vec<M>) -> Result<()> {
        if self.columns_tell_scope()? {
            return Ok(());
        }
        let mut rows = std::mem::take(models);
        for row in rows.drain(..) {
            if is_in_scope(&self.cryptor, &row)? {
                models.push(row);
            }
        }
        Ok(())
    }

    /// The same for each row of a stream: whether it is to be given.
    pub(super) fn keep(&self) -> Result<fn(&Cryptor, &M) -> Result<bool>> {
        Ok(match self.columns_tell_scope()? {
            true => |_, _| Ok(true),
            false => is_in_scope,
        })
    }

    /// The columns beside the id that tell whether a stored row is in the scope.
    ///
    /// Of a view all columns of the encryption context are: the sealed values that it lacks stay as they are, and
    /// would not open under another context.
    pub(super) fn scope_columns(&self) -> Result<Vec<&'static str>> {
        let bounds = self.bounds()?.into_iter().filter(|bound| !bound.is_id).map(|bound| bound.column);
        let mut columns: Vec<_> = bounds.collect();
        if M::MODEL.is_view() {
            let others = context_columns::<M, DB>().into_iter().filter(|column| !columns.contains(column));
            let others: Vec<_> = others.collect();
            columns.extend(others);
        }
        Ok(columns)
    }

    /// Appends ` AND "tenant" = $2`, with the values of the model, which is in the scope.
    pub(super) fn push_scope_of(&self, statement: &mut Statement<DB>, model: &M) -> Result<()> {
        let columns = self.scope_columns()?;
        if columns.is_empty() {
            return Ok(());
        }
        statement.push(" AND ");
        let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::Named(&columns), None);
        model.bind_columns(&mut binder);
        binder.finish().map(drop)
    }

    /// Appends ` AND CAST("tenant" AS text) = $2`, where there is no model: an id may hold a part of the
    /// context too. What is stored in another way than as its text is not found.
    pub(crate) fn push_scope(&self, statement: &mut Statement<DB>) -> Result<()> {
        self.push_bounds(statement, "", self.bounds()?)
    }

    /// As `push_scope`, where rows outside the scope are left out otherwise too: after they were read, or because the
    /// statement compares the columns of the context with a row's. What is stored in another way than as its text is
    /// found.
    pub(crate) fn push_told_scope(&self, statement: &mut Statement<DB>) -> Result<()> {
        self.push_told_scope_within(statement, "")
    }

    /// As `push_told_scope`, with this before the names of the columns.
    pub(crate) fn push_told_scope_within(&self, statement: &mut Statement<DB>, prefix: &str) -> Result<()> {
        let told = self.bounds()?.into_iter().filter(|bound| bound.is_stored_text);
        self.push_bounds(statement, prefix, told)
    }

    fn push_bounds<'b>(
        &self,
        statement: &mut Statement<DB>,
        prefix: &str,
        bounds: impl IntoIterator<Item = Bounds<'b>>,
    ) -> Result<()> {
        for Bounds { column, value, .. } in bounds {
            let text = DB::context_text(&format!("{prefix}{}", quoted_name::<DB>(column)));
            for collation in DB::CONTEXT_COLLATIONS {
                statement.push(" AND ");
                statement.push(&text);
                statement.push(collation);
                statement.push(" = ");
                statement
                    .bind_text(Some(value.into()))
                    .map_err(|source| error::at_column(error::not_encoded(source), M::MODEL, column))?;
            }
        }
        Ok(())
    }
}

/// A row whose context is none is in no scope.
fn is_in_scope<M: PiiModel>(cryptor: &Cryptor, row: &M) -> Result<bool> {
    match cryptor.is_in_scope(row) {
        Err(error) if error.kind() == ErrorKind::InvalidContext && cryptor.scope().is_ok() => Ok(false),
        told => told.map_err(error::of::<M>),
    }
}

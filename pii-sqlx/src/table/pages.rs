//! The first rows that are wanted, read page by page: some that a statement finds turn out not to be wanted.

use pii_core::{FieldSelection, Result};
use sqlx::FromRow;

use super::{SqlTable, failed};
use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    model::SqlModel,
    statement::Statement,
};

/// Rows of a page after the first one, which has as many as are wanted.
const PAGE_ROWS: usize = 256;

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// Whether rows can be read page by page: in the order of their ids.
    pub(crate) fn has_order() -> bool {
        M::COLUMNS.iter().any(|column| column.kind.is_id())
    }

    /// Appends ` ORDER BY "id"`, if there is one.
    pub(crate) fn push_order(statement: &mut Statement<DB>) {
        if Self::has_order() {
            statement.push(" ORDER BY ");
            statement.push_names(id_columns::<M, DB>());
        }
    }

    /// Appends ` AND ("id") > ($1)`, with the id that is bound here.
    pub(crate) fn push_after(
        statement: &mut Statement<DB>,
        bind: impl FnOnce(&mut Binder<'_, DB>),
    ) -> Result<()> {
        statement.push(" AND (");
        statement.push_names(id_columns::<M, DB>());
        statement.push(") > (");
        let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::IdValues, None);
        bind(&mut binder);
        binder.finish()?;
        statement.push(")");
        Ok(())
    }
}

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send,
    DB: Dialect,
{
    /// The first rows of a SELECT with a condition: as many as are wanted of those in the scope that are kept, in
    /// the order of their ids. No more is read than it takes. Without fields rows are not admitted: none of their
    /// values may leave this crate.
    ///
    /// Rows without an id have no order, and are read at once.
    pub(super) async fn first(
        &self,
        select: Statement<DB>,
        mut connection: Option<&mut DB::Connection>,
        fields: Option<&FieldSelection>,
        wanted: usize,
        keep: impl Fn(&M) -> bool + Send,
    ) -> Result<Vec<M>> {
        let mut found = Vec::new();
        let mut next = (wanted > 0).then(|| select.duplicate());
        let mut asked_for = wanted;
        while let Some(mut statement) = next.take() {
            Self::push_order(&mut statement);
            if Self::has_order() {
                statement.push(&format!(" LIMIT {asked_for}"));
            }
            let rows = {
                let mut connection = self.connection(connection.as_deref_mut()).await?;
                connection.fetch(statement).await.map_err(failed::<M>)?
            };
            let mut models = rows.iter().map(Self::decode).collect::<Result<Vec<M>>>()?;
            drop(rows);
            if let Some(last) = models.last()
                && Self::has_order()
                && models.len() >= asked_for
            {
                let mut statement = select.duplicate();
                Self::push_after(&mut statement, |binder| last.bind_own_id(binder))?;
                next = Some(statement);
                asked_for = PAGE_ROWS;
            }
            self.retain_in_scope(&mut models)?;
            if let Some(fields) = fields {
                self.admit(&mut models, fields).await?;
            }
            let free = wanted.saturating_sub(found.len());
            found.extend(models.into_iter().filter(&keep).take(free));
            if found.len() >= wanted {
                break;
            }
        }
        Ok(found)
    }
}

fn id_columns<M: SqlModel<DB>, DB: Dialect>() -> impl Iterator<Item = &'static str> {
    M::COLUMNS.iter().filter(|column| column.kind.is_id()).map(|column| column.name)
}

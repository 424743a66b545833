//! The next rows of a table in the order of their ids.

use pii_core::Result;
use sqlx::FromRow;

use super::found::Found;
use crate::{
    binder::Part,
    dialect::Dialect,
    model::{ColumnKind, SqlModel},
    statement::{Statement, quoted_name},
    table::{SqlTable, Texts, failed, no_id},
};

/// Where to go on.
pub(crate) enum Cursor<M, I> {
    Start,
    After(I),
    AfterRow(M),
}

impl<M, I> Cursor<M, I> {
    pub(crate) fn after(id: Option<I>) -> Self {
        id.map_or(Self::Start, Self::After)
    }
}

/// Which rows.
pub(super) struct Page {
    /// those that hold plaintext in one of these columns, or that hold sealed text; all, if there are none
    pub(super) columns: Option<(Vec<&'static str>, bool)>,
    /// how many
    pub(super) rows: u32,
}

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// Reads rows as they are stored: no policy is applied.
    pub(super) async fn page(
        &self,
        cursor: &Cursor<M, M::Id>,
        page: &Page,
    ) -> Result<Found<(M, Texts), M, M::Id>> {
        let mut statement = self.select()?;
        statement.push(" WHERE ");
        statement.push(&condition::<M, DB>(page));
        self.push_page(&mut statement, cursor, page.rows)?;
        self.fetch_stored(statement).await
    }

    /// Appends ` AND "tenant" = $1 AND ("id") > ($2) ORDER BY "id" LIMIT 500` to a condition.
    pub(crate) fn push_page(
        &self,
        statement: &mut Statement<DB>,
        cursor: &Cursor<M, M::Id>,
        rows: u32,
    ) -> Result<()> {
        if !Self::has_order() {
            return Err(no_id::<M>());
        }
        self.push_told_scope(statement)?;
        match cursor {
            Cursor::Start => {}
            Cursor::After(id) => Self::push_after(statement, |binder| M::bind_id(id, binder))?,
            Cursor::AfterRow(row) => Self::push_after(statement, |binder| row.bind_own_id(binder))?,
        }
        Self::push_order(statement);
        statement.push(&format!(" LIMIT {rows}"));
        Ok(())
    }

    /// This row as it is stored, if it is still there.
    pub(super) async fn again(&self, row: &M) -> Result<Found<(M, Texts), M, M::Id>> {
        let mut statement = self.select()?;
        self.push_where(&mut statement, Part::ExactId, |binder| row.bind_own_id(binder))?;
        self.push_told_scope(&mut statement)?;
        self.fetch_stored(statement).await
    }

    async fn fetch_stored(&self, statement: Statement<DB>) -> Result<Found<(M, Texts), M, M::Id>> {
        let found = {
            let mut connection = self.connection(None).await?;
            connection.fetch(statement).await.map_err(failed::<M>)?
        };
        self.read_each(&found, |row| Ok((Self::decode(row)?, Self::texts_of(row)?)))
    }
}

/// What the rows have to hold. In a column with JSON there may be both.
fn condition<M: SqlModel<DB>, DB: Dialect>(page: &Page) -> String {
    let Some((names, is_sealed)) = &page.columns else { return "1 = 1".to_owned() };
    let columns = M::COLUMNS.iter().filter(|column| names.contains(&column.name));
    let conditions: Vec<String> = columns
        .map(|column| {
            let name = quoted_name::<DB>(column.name);
            match (column.kind, is_sealed) {
                (ColumnKind::Sealed, true) => DB::is_sealed(&name),
                (ColumnKind::Sealed, false) => format!("NOT ({})", DB::is_sealed(&name)),
                _ => format!("{name} IS NOT NULL"),
            }
        })
        .collect();
    format!("({})", conditions.join(" OR "))
}

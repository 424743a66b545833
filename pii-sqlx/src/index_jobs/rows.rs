//! The next rows of a table with their codes.

use pii_core::Result;
use sqlx::FromRow;

use super::columns;
use crate::{
    adopt::{Cursor, Found},
    binder::Part,
    dialect::Dialect,
    model::SqlModel,
    statement::{Statement, quoted_name},
    table::{Rows, SqlTable, Texts, failed},
};

/// Rows with their codes, in the order of the columns.
pub(super) struct Indexed<M> {
    pub(super) rows: Rows<M>,
    pub(super) codes: Vec<Vec<Option<String>>>,
}

impl<M> Default for Indexed<M> {
    fn default() -> Self {
        Self { rows: Rows::default(), codes: Vec::new() }
    }
}

/// A row with its texts and codes.
pub(super) type IndexedRow<M> = (M, (Texts, Vec<Option<String>>));

impl<M> Extend<IndexedRow<M>> for Indexed<M> {
    fn extend<I: IntoIterator<Item = IndexedRow<M>>>(&mut self, rows: I) {
        for (model, (texts, codes)) in rows {
            self.rows.models.push(model);
            self.rows.texts.push(texts);
            self.codes.push(codes);
        }
    }
}

/// Which rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// those that lack a code beside a value, or have one without a value
    Lacking,
    All,
}

impl<M, DB> SqlTable<M, DB>
where
    M: SqlModel<DB> + for<'r> FromRow<'r, DB::Row> + Send + Sync,
    DB: Dialect,
{
    /// Reads rows as they are stored: no policy is applied. The columns need not exist if no codes are wanted.
    pub(super) async fn indexed_page(
        &self,
        cursor: &Cursor<M, M::Id>,
        which: Which,
        with_codes: bool,
        rows: u32,
    ) -> Result<Found<IndexedRow<M>, M, M::Id>> {
        let columns = if with_codes { columns::<M, DB>() } else { Vec::new() };
        let mut statement = self.select_with(&columns)?;
        statement.push(" WHERE ");
        match which {
            Which::All => statement.push("1 = 1"),
            Which::Lacking => statement.push(&lacking::<M, DB>()),
        }
        self.push_page(&mut statement, cursor, rows)?;
        self.fetch_indexed(statement, columns.len()).await
    }

    /// This row as it is now, if it is still there.
    pub(super) async fn indexed_again(&self, row: &M) -> Result<Found<IndexedRow<M>, M, M::Id>> {
        let columns = columns::<M, DB>();
        let mut statement = self.select_with(&columns)?;
        self.push_where(&mut statement, Part::ExactId, |binder| row.bind_own_id(binder))?;
        self.push_told_scope(&mut statement)?;
        self.fetch_indexed(statement, columns.len()).await
    }

    /// `SELECT "id", "email", "email_bidx" FROM "t"`
    fn select_with(&self, columns: &[&'static str]) -> Result<Statement<DB>> {
        let mut statement = Statement::new("SELECT ");
        statement.push_names(M::COLUMNS.iter().map(|column| column.name).chain(columns.iter().copied()));
        statement.push(" FROM ");
        statement.push(self.name()?);
        Ok(statement)
    }

    async fn fetch_indexed(
        &self,
        statement: Statement<DB>,
        codes: usize,
    ) -> Result<Found<IndexedRow<M>, M, M::Id>> {
        let found = {
            let mut connection = self.connection(None).await?;
            connection.fetch(statement).await.map_err(failed::<M>)?
        };
        let first = M::COLUMNS.len();
        let codes_of = |row: &DB::Row| {
            (first..first + codes)
                .map(|index| DB::text(row, index).map_err(failed::<M>))
                .collect::<Result<_>>()
        };
        let read = |row: &DB::Row| Ok((Self::decode(row)?, (Self::texts_of(row)?, codes_of(row)?)));
        self.read_each(&found, read)
    }
}

/// `("email_bidx" IS NULL AND "email" IS NOT NULL OR "email_bidx" IS NOT NULL AND "email" IS NULL OR ...)`
fn lacking<M: SqlModel<DB>, DB: Dialect>() -> String {
    let mut conditions = Vec::new();
    for index in M::MODEL.indexes() {
        let parts = index.parts().iter().filter_map(|part| M::MODEL.field(part.field));
        let parts: Vec<String> = parts.map(|field| quoted_name::<DB>(field.column())).collect();
        let all_there: Vec<String> = parts.iter().map(|part| format!("{part} IS NOT NULL")).collect();
        let one_gone: Vec<String> = parts.iter().map(|part| format!("{part} IS NULL")).collect();
        for version in index.versions() {
            let code = quoted_name::<DB>(version.column);
            conditions.push(format!("({code} IS NULL AND {})", all_there.join(" AND ")));
            conditions.push(format!("({code} IS NOT NULL AND ({}))", one_gone.join(" OR ")));
        }
    }
    format!("({})", conditions.join(" OR "))
}

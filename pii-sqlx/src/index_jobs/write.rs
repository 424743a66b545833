//! The statements that write codes, if the sealed values are as they were.

use std::{collections::HashSet, sync::Arc};

use pii_core::Result;
use sqlx::Transaction;

use super::columns;
use crate::{
    binder::{Binder, Part},
    connection::Connection,
    dialect::Dialect,
    model::SqlModel,
    statement::{Statement, quoted_name},
    table::{SqlTable, Swap, bind_text, context_columns, failed, key_columns},
};

/// At most so many rows in one statement.
const ROWS_PER_STATEMENT: usize = 500;

/// The codes of one row.
pub(super) struct Codes<'a, M> {
    /// its index among the rows of the chunk
    pub(super) row: usize,
    pub(super) model: &'a M,
    /// in the order of the columns
    pub(super) codes: Vec<Option<Arc<str>>>,
    /// the columns that they were computed of, with their texts; these may be plaintext
    pub(super) made_of: Vec<(&'static str, Option<&'a str>)>,
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Writes codes to rows whose values are still those that they were computed of, in one transaction, and
    /// says what became of each.
    pub(super) async fn write_codes(&self, rows: &[Codes<'_, M>]) -> Result<Vec<Swap>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection(None).await?;
        let mut tx: Transaction<'_, DB> = connection.begin().await.map_err(failed::<M>)?;
        let told = {
            let mut within = Connection::given(&mut *tx);
            self.write_within(rows, &mut within).await
        };
        let told = match told {
            Ok(told) => tx.commit().await.map_err(failed::<M>).map(|()| told),
            Err(error) => {
                // the first error is the one to tell
                let _ = tx.rollback().await;
                Err(error)
            }
        };
        connection.finished();
        told
    }

    async fn write_within(
        &self,
        rows: &[Codes<'_, M>],
        connection: &mut Connection<'_, DB>,
    ) -> Result<Vec<Swap>> {
        let written = match DB::SWAPS_BY_VALUES {
            true => self.write_by_values(rows, connection).await?,
            false => self.write_in_turn(rows, connection).await?,
        };
        let mut told = Vec::with_capacity(rows.len());
        for row in rows {
            told.push(match written.contains(&row.row) {
                true => Swap::Swapped,
                false => self.why_not_swapped(row.model, connection).await?,
            });
        }
        Ok(told)
    }

    async fn write_in_turn(
        &self,
        rows: &[Codes<'_, M>],
        connection: &mut Connection<'_, DB>,
    ) -> Result<HashSet<usize>> {
        let mut written = HashSet::with_capacity(rows.len());
        for row in rows {
            if connection.execute(self.write_one(row)?).await.map_err(failed::<M>)? > 0 {
                written.insert(row.row);
            }
        }
        Ok(written)
    }

    /// `UPDATE "t" SET "email_bidx" = $1 WHERE "id" = $2 AND "tenant" = $3 AND "email" = $4`
    fn write_one(&self, row: &Codes<'_, M>) -> Result<Statement<DB>> {
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        for (index, (column, code)) in columns::<M, DB>().into_iter().zip(&row.codes).enumerate() {
            statement.push(if index > 0 { ", " } else { "" });
            statement.push_name(column);
            statement.push(" = ");
            bind_text::<M, DB>(&mut statement, column, code.clone())?;
        }
        self.push_where(&mut statement, Part::ExactId, |binder| row.model.bind_own_id(binder))?;
        let context = context_columns::<M, DB>();
        if !context.is_empty() {
            statement.push(" AND ");
            let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Named(&context), None);
            row.model.bind_columns(&mut binder);
            binder.finish()?;
        }
        self.push_told_scope(&mut statement)?;
        for (column, text) in &row.made_of {
            statement.push(" AND ");
            let name = quoted_name::<DB>(column);
            match text {
                None => statement.push(&format!("{name} IS NULL")),
                Some(text) => {
                    statement.push(&DB::exact(&name));
                    statement.push(" = ");
                    bind_text::<M, DB>(&mut statement, column, Some(Arc::from(*text)))?;
                }
            }
        }
        Ok(statement)
    }

    async fn write_by_values(
        &self,
        rows: &[Codes<'_, M>],
        connection: &mut Connection<'_, DB>,
    ) -> Result<HashSet<usize>> {
        let mut written = HashSet::with_capacity(rows.len());
        let made_of = rows.first().map_or(0, |row| row.made_of.len());
        let arguments = key_columns::<M, DB>()?.len() + made_of + columns::<M, DB>().len();
        // the scope takes arguments too, and has no more pairs than the model columns
        let room = DB::MAX_PARAMETERS.saturating_sub(M::COLUMNS.len()) / arguments.max(1);
        let most = ROWS_PER_STATEMENT.min(room).max(1);
        for chunk in rows.chunks(most) {
            let statement = self.write_values(chunk)?;
            let statement = if chunk.len() == most { statement } else { statement.once() };
            for row in &connection.fetch(statement).await.map_err(failed::<M>)? {
                let number = DB::number(row).map_err(failed::<M>)?;
                written.extend(usize::try_from(number).ok().and_then(|n| chunk.get(n)).map(|row| row.row));
            }
        }
        Ok(written)
    }

    /// `UPDATE "t" AS pii_t SET "email_bidx" = pii_v.i0 FROM (VALUES (0, $1, $2, $3, $4)) AS pii_v (n, k0, k1, o0, i0)
    /// WHERE pii_t."id" = pii_v.k0 AND pii_t."tenant" = pii_v.k1 AND pii_t."email" IS NOT DISTINCT FROM pii_v.o0
    /// RETURNING pii_v.n`
    fn write_values(&self, rows: &[Codes<'_, M>]) -> Result<Statement<DB>> {
        let (keys, codes) = (key_columns::<M, DB>()?, columns::<M, DB>());
        let made_of: Vec<&str> = rows
            .first()
            .map(|row| row.made_of.iter().map(|(column, _)| *column).collect())
            .unwrap_or_default();
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" AS pii_t SET ");
        for (index, column) in codes.iter().enumerate() {
            statement.push(if index > 0 { ", " } else { "" });
            statement.push_name(column);
            statement.push(&format!(" = pii_v.i{index}"));
        }
        statement.push(" FROM (VALUES ");
        statement.reserve(rows.len(), keys.len() + made_of.len() + codes.len());
        for (number, row) in rows.iter().enumerate() {
            statement.push(&format!("{}({number}, ", if number > 0 { ", " } else { "" }));
            let mut binder = Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Listed(&keys), None);
            row.model.bind_columns(&mut binder);
            binder.finish()?;
            for (column, text) in &row.made_of {
                statement.push(", ");
                bind_text::<M, DB>(&mut statement, column, text.map(Arc::from))?;
            }
            for (column, code) in codes.iter().zip(&row.codes) {
                statement.push(", ");
                bind_text::<M, DB>(&mut statement, column, code.clone())?;
            }
            statement.push(")");
        }
        statement.push(") AS pii_v (n");
        (0..keys.len()).for_each(|index| statement.push(&format!(", k{index}")));
        (0..made_of.len()).for_each(|index| statement.push(&format!(", o{index}")));
        (0..codes.len()).for_each(|index| statement.push(&format!(", i{index}")));
        statement.push(") WHERE ");
        for (index, key) in keys.iter().enumerate() {
            let key = quoted_name::<DB>(key);
            statement.push(&format!("{}pii_t.{key} = pii_v.k{index}", if index > 0 { " AND " } else { "" }));
        }
        for (index, column) in made_of.iter().enumerate() {
            let column = DB::exact(&format!("pii_t.{}", quoted_name::<DB>(column)));
            statement.push(&format!(" AND {column} IS NOT DISTINCT FROM pii_v.o{index}"));
        }
        self.push_told_scope_within(&mut statement, "pii_t.")?;
        statement.push(" RETURNING pii_v.n");
        Ok(statement)
    }
}

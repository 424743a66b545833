//! Rows on their way into an INSERT.

use pii_core::{Error, ErrorKind, Result, SealedTexts};

use super::SqlTable;
use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
};

/// A model with the texts of its sealed values.
pub(super) struct NewRow<'a, M> {
    model: &'a M,
    texts: SealedTexts,
    /// the columns of ids that the database makes up
    omitted: Vec<&'static str>,
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    pub(super) async fn seal_one<'a>(&self, model: &'a M) -> Result<NewRow<'a, M>> {
        let row = self.seal(vec![model]).await?.pop();
        row.ok_or_else(|| error::of::<M>(Error::new(ErrorKind::State).message("the row was not sealed")))
    }

    /// Seals the models in one batch.
    pub(super) async fn seal<'a>(&self, models: Vec<&'a M>) -> Result<Vec<NewRow<'a, M>>> {
        self.name()?;
        let texts = self.cryptor.seal_texts(models.iter().copied()).await.map_err(error::of::<M>)?;
        models
            .into_iter()
            .zip(texts)
            .map(|(model, texts)| Ok(NewRow { model, texts, omitted: omitted::<M, DB>(model)? }))
            .collect()
    }

    /// How many rows fit in one statement.
    pub(super) fn rows_per_statement() -> usize {
        (DB::MAX_PARAMETERS / M::COLUMNS.len().max(1)).max(1)
    }

    /// `INSERT INTO "t" ("a", "b") VALUES ($1, $2)`
    pub(super) fn insert_into(&self, alias: &str, row: &mut NewRow<'_, M>) -> Result<Statement<DB>> {
        Ok(self.insert_some(alias, std::slice::from_mut(row))?.0)
    }

    /// `INSERT INTO "t" ("a", "b") VALUES ($1, $2), ($3, $4)` for rows that omit the same columns, for as many
    /// of them as one statement can take, and how many those are: at least one.
    pub(super) fn insert_some(
        &self,
        alias: &str,
        rows: &mut [NewRow<'_, M>],
    ) -> Result<(Statement<DB>, usize)> {
        let omitted = rows.first().map_or(&[][..], |row| &row.omitted);
        let columns = M::COLUMNS.iter().map(|column| column.name).filter(|name| !omitted.contains(name));
        let mut statement = Statement::new("INSERT INTO ");
        statement.push(self.name()?);
        statement.push(alias);
        statement.push(" (");
        statement.push_names(columns);
        statement.push(") VALUES ");
        statement.reserve(rows.len(), M::COLUMNS.len());
        let mut statement = if rows.len() > 1 { statement.measured() } else { statement };
        let mut taken = 0;
        for (index, row) in rows.iter_mut().enumerate() {
            if statement.is_full() {
                break;
            }
            taken += 1;
            statement.push(if index > 0 { ", (" } else { "(" });
            let mut binder =
                Binder::new(&mut statement, M::MODEL, M::COLUMNS, Part::Values, Some(&mut row.texts));
            row.model.bind_columns(&mut binder);
            if !binder.finish()?.anything {
                return Err(Error::new(ErrorKind::Configuration)
                    .model(M::MODEL.name())
                    .message("the model has no column to insert"));
            }
            statement.push(")");
        }
        Ok((statement, taken))
    }
}

impl<M> NewRow<'_, M> {
    /// Whether the rows can stand in one statement.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.omitted == other.omitted
    }
}

/// Which columns this model leaves to the database.
pub(super) fn omitted<M: SqlModel<DB>, DB: Dialect>(model: &M) -> Result<Vec<&'static str>> {
    if !M::COLUMNS.iter().any(|column| column.kind.is_generated()) {
        return Ok(Vec::new());
    }
    let mut nowhere = Statement::new("");
    let mut binder = Binder::new(&mut nowhere, M::MODEL, M::COLUMNS, Part::Nothing, None);
    model.bind_columns(&mut binder);
    Ok(binder.finish()?.omitted)
}

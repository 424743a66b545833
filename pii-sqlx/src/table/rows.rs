//! Rows on their way into an INSERT.

use pii_core::{Error, ErrorKind, Result, SealedTexts};

use super::{SqlTable, indexes};
use crate::{
    binder::{Binder, Part},
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::Statement,
};

/// A model with the texts of its sealed values.
pub(crate) struct NewRow<'a, M> {
    pub(super) model: &'a M,
    pub(super) texts: SealedTexts,
    /// the columns of ids that the database makes up
    pub(super) omitted: Vec<&'static str>,
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    pub(super) async fn seal_one<'a>(&self, model: &'a M) -> Result<NewRow<'a, M>> {
        let row = self.seal(vec![model]).await?.pop();
        row.ok_or_else(|| error::of::<M>(Error::new(ErrorKind::State).message("the row was not sealed")))
    }

    /// Seals the models in one batch.
    pub(crate) async fn seal<'a>(&self, models: Vec<&'a M>) -> Result<Vec<NewRow<'a, M>>> {
        let texts = self.cryptor.seal_texts(models.iter().copied()).await.map_err(error::of::<M>)?;
        Self::new_rows(models, texts)
    }

    /// As [`SqlTable::seal`], for rows that are there and get new values.
    pub(super) async fn seal_changes<'a>(&self, models: Vec<&'a M>) -> Result<Vec<NewRow<'a, M>>> {
        let texts = self.cryptor.seal_changes(models.iter().copied()).await.map_err(error::of::<M>)?;
        Self::new_rows(models, texts)
    }

    fn new_rows(models: Vec<&M>, texts: Vec<SealedTexts>) -> Result<Vec<NewRow<'_, M>>> {
        models
            .into_iter()
            .zip(texts)
            .map(|(model, texts)| Ok(NewRow { model, texts, omitted: omitted::<M, DB>(model)? }))
            .collect()
    }

    /// How many rows fit in one statement.
    pub(crate) fn rows_per_statement() -> usize {
        (DB::MAX_PARAMETERS / (M::COLUMNS.len() + indexes::count::<M>()).max(1)).max(1)
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
        let mut statement = Statement::new("INSERT INTO ");
        statement.push(self.name()?);
        statement.push(alias);
        statement.push(" (");
        statement.push_names(Self::inserted_columns(rows));
        statement.push(") VALUES ");
        let mut statement = if rows.len() > 1 { statement.measured() } else { statement };
        let taken = self.push_values(&mut statement, rows)?;
        Ok((statement, taken))
    }

    /// The columns of rows that omit the same.
    pub(crate) fn inserted_columns(rows: &[NewRow<'_, M>]) -> impl Iterator<Item = &'static str> {
        let omitted = rows.first().map_or(&[][..], |row| &row.omitted);
        let indexed = rows.first().map(NewRow::index_columns).unwrap_or_default();
        M::COLUMNS.iter().map(|column| column.name).filter(|name| !omitted.contains(name)).chain(indexed)
    }

    /// Appends `($1, $2), ($3, $4)`, until the statement is full, and says of how many rows.
    pub(crate) fn push_values(
        &self,
        statement: &mut Statement<DB>,
        rows: &mut [NewRow<'_, M>],
    ) -> Result<usize> {
        let indexed = rows.first().map(NewRow::index_columns).unwrap_or_default();
        statement.reserve(rows.len(), M::COLUMNS.len() + indexed.len());
        let mut taken = 0;
        for (index, row) in rows.iter_mut().enumerate() {
            if statement.is_full() {
                break;
            }
            taken += 1;
            statement.push(if index > 0 { ", (" } else { "(" });
            let texts: Vec<_> = indexes::written(row.texts.indexes()).collect();
            let mut binder = Binder::new(statement, M::MODEL, M::COLUMNS, Part::Values, Some(&mut row.texts))
                .within(self.limits.as_ref());
            row.model.bind_columns(&mut binder);
            if !binder.finish()?.anything {
                return Err(Error::new(ErrorKind::Configuration)
                    .model(M::MODEL.name())
                    .message("the model has no column to insert"));
            }
            if texts.len() != indexed.len() {
                return Err(indexes::differ::<M>());
            }
            for (_, text) in texts {
                statement.push(", ");
                indexes::bind::<M, DB>(statement, text)?;
            }
            statement.push(")");
        }
        Ok(taken)
    }
}

impl<M> NewRow<'_, M> {
    /// The columns of blind indexes that are written.
    pub(super) fn index_columns(&self) -> Vec<&'static str> {
        indexes::written(self.texts.indexes()).map(|(column, _)| column).collect()
    }

    /// Whether the rows can stand in one statement.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.omitted == other.omitted && self.index_columns() == other.index_columns()
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

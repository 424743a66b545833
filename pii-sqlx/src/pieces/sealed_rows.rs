//! Models that are sealed and ready to be bound to a statement that users write.

use std::fmt;

use pii_core::{Error, ErrorKind, Result};
use sqlx::Database;

use crate::{dialect::Dialect, model::SqlModel, statement::Statement, table::SqlTable};

/// Sealed models for an INSERT that you write yourself; made by [`SqlTable::seal_rows`].
///
/// ```no_run
/// # use pii::{Cryptor, DecryptPii, EncryptedStr, PiiModel, SqlTable};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// use sqlx::AssertSqlSafe;
///
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor, ada: Customer, bob: Customer) -> Result<(), Box<dyn std::error::Error>> {
/// let customers = SqlTable::<Customer, _>::new(&pool, &cryptor);
/// let rows = customers.seal_rows([&ada, &bob]).await?; // keys are asked for here, not in the transaction
///
/// let sql = format!(
///     "INSERT INTO customers ({}) VALUES {} ON CONFLICT (id) DO NOTHING RETURNING *",
///     rows.columns(), // `id`, `email`
///     rows.values(),  // (?, ?), (?, ?)
/// );
/// let mut tx = pool.begin().await?;
/// let inserted = sqlx::query_as_with::<_, Customer, _>(AssertSqlSafe(sql), rows.into_arguments())
///     .decrypt_pii(&cryptor)
///     .fetch_all(&mut *tx)
///     .await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
///
/// An update of one row takes the same pieces: `UPDATE customers SET ({columns}) = {values} WHERE id = $3`, with
/// [`parameters`](Self::parameters)` + 1` as the number of the first placeholder that is yours; bind its value after
/// the arguments, with `.bind(id)`.
pub struct SealedRows<DB: Database> {
    columns: String,
    values: String,
    arguments: DB::Arguments,
    parameters: usize,
}

impl<DB: Database> SealedRows<DB> {
    /// The columns, quoted: `"id", "email"`. Without an id that the database makes up.
    #[must_use]
    pub fn columns(&self) -> &str {
        &self.columns
    }

    /// The placeholders, in parentheses for each row: `($1, $2), ($3, $4)`.
    #[must_use]
    pub fn values(&self) -> &str {
        &self.values
    }

    /// How many placeholders there are.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters
    }

    /// What is bound to the placeholders: for `sqlx::query_with`, `query_as_with` and `query_scalar_with`.
    #[must_use]
    pub fn into_arguments(self) -> DB::Arguments {
        self.arguments
    }
}

impl<DB: Database> fmt::Debug for SealedRows<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedRows")
            .field("columns", &self.columns)
            .field("parameters", &self.parameters)
            .finish_non_exhaustive()
    }
}

impl<M: SqlModel<DB> + Sync, DB: Dialect> SqlTable<M, DB> {
    /// Seals models, and gives the pieces of an INSERT that you write yourself. The models keep their
    /// plaintext. The table's name is not used.
    ///
    /// # Errors
    /// Those of an insert: of modes, scope, keys and values. [`ErrorKind::Configuration`] if there is no
    /// model, or if only some of them leave their id to the database. [`ErrorKind::TooLarge`] if they
    /// have more values than a statement has placeholders.
    pub async fn seal_rows<'a>(&self, models: impl IntoIterator<Item = &'a M>) -> Result<SealedRows<DB>>
    where
        M: 'a,
    {
        let models: Vec<&M> = models.into_iter().collect();
        let refused = |kind, message: &str| Err(Error::new(kind).model(M::MODEL.name()).message(message));
        if models.is_empty() {
            return refused(ErrorKind::Configuration, "there is no model to seal");
        }
        if models.len() > Self::rows_per_statement() {
            return refused(
                ErrorKind::TooLarge,
                "these rows have more values than a statement has placeholders",
            );
        }
        let mut rows = self.seal(models).await?;
        let Some((first, others)) = rows.split_first() else {
            return refused(ErrorKind::Configuration, "there is no model to seal");
        };
        if !others.iter().all(|row| row.is_like(first)) {
            return refused(
                ErrorKind::Configuration,
                "some of these models have an id and others leave it to the database",
            );
        }
        let names: Vec<&'static str> = Self::inserted_columns(&rows).collect();
        let parameters = names.len().saturating_mul(rows.len());
        let mut columns = Statement::<DB>::new("");
        columns.push_names(names);
        let mut values = Statement::<DB>::new("");
        self.push_values(&mut values, &mut rows)?;
        let (values, arguments) = values.into_parts();
        Ok(SealedRows { columns: columns.into_sql(), values, arguments, parameters })
    }
}

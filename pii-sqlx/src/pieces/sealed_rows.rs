//! Models that are sealed and ready to be bound to a statement that users write.

use std::fmt;

use pii_core::{Error, ErrorKind, Result};
use sqlx::Database;

use crate::{
    dialect::Dialect,
    model::SqlModel,
    statement::{Statement, quoted_name},
    table::SqlTable,
};

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
/// For an update of one row there are [`assignments`](Self::assignments); what you bind after the arguments,
/// with `.bind(id)`, has the placeholder after the last of [`parameters`](Self::parameters).
pub struct SealedRows<DB: Database> {
    /// quoted
    names: Vec<String>,
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

    /// The columns with their placeholders, as an UPDATE sets them: `"id" = $1, "email" = $2`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is more than one row.
    pub fn assignments(&self) -> Result<String> {
        let placeholders = self.values.strip_prefix('(').and_then(|values| values.strip_suffix(')'));
        match placeholders.filter(|values| !values.contains('(')) {
            Some(placeholders) => {
                let pairs = self.names.iter().zip(placeholders.split(", "));
                Ok(pairs.map(|(column, value)| format!("{column} = {value}")).collect::<Vec<_>>().join(", "))
            }
            None => Err(Error::new(ErrorKind::Configuration)
                .message("an UPDATE sets the columns of one row, and several were sealed")),
        }
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
        let names: Vec<_> = Self::inserted_columns(&rows).map(quoted_name::<DB>).collect();
        let parameters = names.len().saturating_mul(rows.len());
        let mut values = Statement::<DB>::new("");
        self.push_values(&mut values, &mut rows)?;
        let (values, arguments) = values.into_parts();
        Ok(SealedRows { columns: names.join(", "), names, values, arguments, parameters })
    }
}

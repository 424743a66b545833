//! Codes that are erased with the rows' keys.

use std::future::IntoFuture;

use futures_core::future::BoxFuture;
use pii_core::{EncryptionContext, Error, ErrorKind, Result};
use sqlx::Database;

use super::{check_indexed, columns};
use crate::{
    dialect::Dialect,
    error,
    model::SqlModel,
    statement::{Statement, quoted_name},
    table::{SqlTable, bind_text, failed},
};

/// An UPDATE that sets the columns of blind indexes to NULL; made by [`SqlTable::clear_indexes`]. Awaited, it says in
/// how many rows there was a code.
///
/// A code under a destroyed index key can't be computed any more, but the index of a person's row is under the
/// key of the tenant, and one with `scope = "global"` under that of all: these codes still tell who has the
/// value, and are erased by this alone. Where one tenant is erased, it also hides which of its rows had equal
/// values.
///
/// The rows are those whose context has the pairs, whatever else it has: columns of the model are compared with
/// them. The columns of all live versions are cleared; drop those of retired versions first, which the model does
/// not know. Run it after the shred, when no cache holds the keys any more: until then a program may write a new
/// row for the person. A search does not find the rows any more, and [`FillIndexes`](super::FillIndexes) counts
/// them as erased.
///
/// # Errors
/// [`ErrorKind::InvalidContext`] for no pairs, or for one that no row of the model has;
/// [`ErrorKind::Configuration`] for a pair, of the context or of the cryptor's scope, that is made of a field by an
/// expression, so that no column holds it: then write the statement yourself; [`ErrorKind::Database`]. Then nothing
/// was changed.
#[must_use = "nothing is written before this is awaited"]
pub struct ClearIndexes<'a, M, DB: Database> {
    table: &'a SqlTable<M, DB>,
    context: Result<EncryptionContext>,
    connection: Option<&'a mut DB::Connection>,
}

impl<'a, M: SqlModel<DB>, DB: Dialect> ClearIndexes<'a, M, DB> {
    pub(super) fn new(table: &'a SqlTable<M, DB>, context: Result<EncryptionContext>) -> Self {
        Self { table, context, connection: None }
    }

    /// Runs on this transaction or connection.
    pub fn on(mut self, connection: &'a mut DB::Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    async fn run(self) -> Result<u64> {
        let Self { table, context, connection } = self;
        check_indexed::<M, DB>()?;
        let context = context.map_err(error::of::<M>)?;
        let statement = table.clear(&context)?;
        let mut connection = table.connection(connection).await?;
        connection.execute(statement).await.map_err(failed::<M>)
    }
}

impl<M: SqlModel<DB>, DB: Dialect> SqlTable<M, DB> {
    /// `UPDATE "t" SET "email_bidx" = NULL WHERE ("email_bidx" IS NOT NULL) AND CAST("tenant" AS text) = $1`
    fn clear(&self, context: &EncryptionContext) -> Result<Statement<DB>> {
        if !self.columns_tell_scope()? {
            let message = "a pair of the cryptor's scope is made of fields by an expression, so that no column tells \
                           the rows of others";
            return Err(by_hand(
                Error::new(ErrorKind::Configuration).model(M::MODEL.name()).message(message),
            ));
        }
        let columns = columns::<M, DB>();
        let mut statement = Statement::new("UPDATE ");
        statement.push(self.name()?);
        statement.push(" SET ");
        statement.push_each(columns.iter().copied(), |statement, column| {
            statement.push_name(column);
            statement.push(" = NULL");
        });
        let there: Vec<_> =
            columns.iter().map(|column| format!("{} IS NOT NULL", quoted_name::<DB>(column))).collect();
        statement.push(&format!(" WHERE ({})", there.join(" OR ")));
        for (column, value) in pairs::<M, DB>(context)? {
            statement.push(" AND ");
            statement.push(&DB::context_text(&quoted_name::<DB>(column)));
            statement.push(" = ");
            bind_text::<M, DB>(&mut statement, column, Some(value.into()))?;
        }
        self.push_scope(&mut statement)?;
        Ok(statement)
    }
}

/// The columns that hold the pairs of a context, with their values.
fn pairs<M: SqlModel<DB>, DB: Dialect>(context: &EncryptionContext) -> Result<Vec<(&'static str, &str)>> {
    let wrong = |kind, message: String| Error::new(kind).model(M::MODEL.name()).message(message);
    if context.pairs().len() == 0 {
        return Err(wrong(ErrorKind::InvalidContext, "every row has no pairs: name at least one".to_owned()));
    }
    let mut pairs = Vec::new();
    for (name, value) in context.pairs() {
        let part = M::MODEL.context().iter().find(|part| part.name == name).ok_or_else(|| {
            wrong(
                ErrorKind::InvalidContext,
                format!(
                    "the encryption context of the model has no pair `{name}`: no row was shredded by it"
                ),
            )
        })?;
        match (part.literal, part.column) {
            (Some(literal), _) if literal == value => {}
            (Some(_), _) => {
                let message = format!("no row of the model has this value of `{name}` in its context");
                return Err(wrong(ErrorKind::InvalidContext, message));
            }
            (None, column) => {
                let column = M::COLUMNS.iter().find(|known| Some(known.name) == column).ok_or_else(|| {
                    let message = format!(
                        "`{name}` is made of fields by an expression, so that no column tells the rows"
                    );
                    by_hand(wrong(ErrorKind::Configuration, message))
                })?;
                pairs.push((column.name, value));
            }
        }
    }
    Ok(pairs)
}

fn by_hand(error: Error) -> Error {
    error.help("set the columns of the blind indexes to NULL by a statement of your own")
}

impl<'a, M: SqlModel<DB>, DB: Dialect> IntoFuture for ClearIndexes<'a, M, DB> {
    type Output = Result<u64>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

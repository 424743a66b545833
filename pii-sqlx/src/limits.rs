//! How much fits into the columns of a table, so that nothing is sent that the database would cut.

use std::{fmt, sync::Arc};

use pii_core::{Error, ErrorKind, Result};
use sqlx::Pool;

use crate::{
    catalogue::{Catalogue, Room},
    connection::Connection,
    doctor::nameless,
    error::from_sqlx,
    model::{ColumnKind, SqlModel},
    statement::quoted_table,
};

/// How long the texts in the sealed columns of a table may be, read from the database once: a
/// [`SqlTable`](crate::SqlTable) that has them refuses a longer text before a statement is sent, with
/// [`TooLarge`](ErrorKind::TooLarge).
///
/// Without them the database decides. Postgres refuses the statement, SQLite takes every text, and MySQL cuts it
/// without a word where its strict mode is off: the value is lost. Where columns are text without a limit there
/// is nothing to refuse.
///
/// ```no_run
/// # use pii::{Cryptor, EncryptedStr, PiiModel, SqlTable};
/// use pii::ColumnLimits;
///
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// let limits = ColumnLimits::of::<Customer, _>(&pool).await?; // when the program starts
///
/// // wherever the table is used
/// let customers = SqlTable::<Customer, _>::new(&pool, &cryptor).within(&limits);
/// # Ok(())
/// # }
/// ```
///
/// They are as old as their reading: after a column was changed, read them again.
#[derive(Clone)]
pub struct ColumnLimits {
    /// quoted
    table: Arc<str>,
    rooms: Arc<[(String, Room)]>,
}

impl ColumnLimits {
    /// Reads the limits of the table that this model names.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if it names none; [`ErrorKind::Database`] if it does not exist, or the catalogue
    /// can't be read.
    pub async fn of<M: SqlModel<DB>, DB: Catalogue>(pool: &Pool<DB>) -> Result<Self> {
        let table = M::MODEL.table().ok_or_else(|| nameless(M::MODEL))?;
        Self::of_table::<M, DB>(pool, table).await
    }

    /// Reads the limits of this table, as one of the model.
    ///
    /// # Errors
    /// As [`ColumnLimits::of`].
    pub async fn of_table<M: SqlModel<DB>, DB: Catalogue>(pool: &Pool<DB>, table: &str) -> Result<Self> {
        let of_model = |error: Error| error.model(M::MODEL.name());
        let quoted = quoted_table::<DB>(table).map_err(of_model)?;
        let connection = pool.acquire().await.map_err(|error| from_sqlx(error, M::MODEL))?;
        let mut connection = Connection::<DB>::pooled(connection);
        let found = DB::describe(connection.lend(), table).await.map_err(of_model)?;
        connection.finished();
        let found = found.ok_or_else(|| {
            of_model(Error::new(ErrorKind::Database))
                .message(format!("the table `{table}` does not exist, or the role may not see it"))
                .help("create it first: `Ddl::of` gives the statement")
        })?;
        let sealed = M::COLUMNS
            .iter()
            .filter(|column| matches!(column.kind, ColumnKind::Sealed | ColumnKind::SealedJson));
        let rooms =
            sealed.filter_map(|column| Some((column.name.to_owned(), found.column(column.name)?.room?)));
        Ok(Self { table: quoted.into(), rooms: rooms.collect() })
    }

    /// Refuses a table that these are not the limits of.
    pub(crate) fn check_table(&self, quoted: &str) -> Result<()> {
        if *self.table == *quoted {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Configuration)
            .message(format!("the limits of {} were given to {quoted}", self.table))
            .help("read those of the table itself: `ColumnLimits::of_table`"))
    }

    /// Refuses a text that does not fit into this column.
    pub(crate) fn check(&self, column: &str, text: &str) -> Result<()> {
        let Some((_, room)) = self.rooms.iter().find(|(name, _)| name == column) else { return Ok(()) };
        let (needed, most, unit) = match *room {
            Room::Chars(most) => (text.chars().count(), most, "characters"),
            Room::Bytes(most) => (text.len(), most, "bytes"),
        };
        if needed <= most {
            return Ok(());
        }
        Err(Error::new(ErrorKind::TooLarge)
            .message(format!(
                "the sealed text has {needed} {unit}, and the column `{column}` has room for {most}"
            ))
            .help("make the column text: `Ddl::alter` gives the statement; then read the limits again"))
    }
}

impl fmt::Debug for ColumnLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnLimits").field("table", &self.table).field("rooms", &self.rooms).finish()
    }
}

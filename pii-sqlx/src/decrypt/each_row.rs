//! Queries whose rows are opened, each for itself.

use futures_core::stream::BoxStream;
use futures_util::StreamExt as _;
use pii_core::{PiiRow, Result, Wanted};
use sqlx::Executor;

use super::{
    decrypting::Decrypting,
    open::{Loaded, check, failed, open_each},
    source::RowSource,
};

/// A query with a result for each row; made by [`Decrypting::each_row`].
///
/// ```no_run
/// # use pii::{Cryptor, DecryptPii, EncryptedStr, PiiModel};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// let query = sqlx::query_as::<_, Customer>("SELECT * FROM customers");
/// for row in query.decrypt_pii(&cryptor).each_row().fetch_all(&pool).await? {
///     match row {
///         Ok(customer) => println!("{customer:?}"),
///         Err(error) => println!("skipped: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// With `query_as!` and `try_map`, sqlx gives no further rows after one that could not be decoded:
/// there such a row is an error for all. Values that could not be opened are told one by one there too.
#[must_use = "a query does nothing before it is fetched"]
pub struct EachRow<'k, Q>(pub(super) Decrypting<'k, Q>);

impl<'k, Q: RowSource<Row: PiiRow>> EachRow<'k, Q> {
    /// All rows, in order, each with its own result.
    ///
    /// # Errors
    /// [`ErrorKind::Database`](pii_core::ErrorKind::Database) if the query fails, and what has nothing to
    /// do with single rows: see [`Cryptor::open_each`](pii_core::Cryptor::open_each).
    pub async fn fetch_all<'c, E>(self, executor: E) -> Result<Vec<Result<Q::Row>>>
    where
        E: Executor<'c, Database = Q::Database>,
    {
        let Decrypting { query, cryptor, fields, .. } = self.0;
        check::<Q::Row>(cryptor, &fields).await?;
        let mut rows = Loaded::with_capacity(0);
        {
            let mut stream = query.stream(executor);
            while let Some(row) = stream.next().await {
                match row {
                    Err(error) if !(Q::GOES_ON && is_of_one_row(&error)) => {
                        return Err(failed::<Q::Row>(error));
                    }
                    row => rows.push(row.map_err(failed::<Q::Row>)),
                }
            }
        }
        Ok(open_each(cryptor, &Wanted::fields(fields), rows).await?.collect())
    }

    /// The rows one after the other, each with its own result. See [`Decrypting::fetch`].
    pub fn fetch<'e, 'c: 'e, E>(self, executor: E) -> BoxStream<'e, Result<Q::Row>>
    where
        'k: 'e,
        Q: 'e,
        E: Executor<'c, Database = Q::Database> + 'e,
    {
        self.0.rows(executor, false)
    }
}

/// Whether the error comes from decoding a row, and not from the database.
fn is_of_one_row(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
    )
}

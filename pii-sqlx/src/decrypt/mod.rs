//! `.decrypt_pii(&cryptor)` on queries that users write.

mod ahead;
mod decrypting;
mod each_row;
mod masked;
mod open;
mod source;
mod stream;

use pii_core::{Cryptor, PiiRow};

pub(crate) use decrypting::CHUNK;
pub use decrypting::Decrypting;
pub use each_row::EachRow;
pub use masked::Masking;
pub use source::{RowSource, SqlxQuery};
pub(crate) use stream::{Reading, open_stream};

/// Adds `.decrypt_pii(&cryptor)` to sqlx's typed queries: `QueryAs`, which
/// `query_as` and `QueryBuilder::build_query_as` give, and `Map`, which `query_as!`
/// and `query(..).try_map(..)` give.
///
/// The query runs as it did before, on a pool, a connection or a transaction, with the same four ways
/// to fetch. The rows are collected, a pool's connection is given back, and then they are opened in one
/// batch.
///
/// ```no_run
/// # use pii::{Cryptor, EncryptedStr, PiiModel};
/// use pii::DecryptPii;
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
///
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// let customers: Vec<Customer> = sqlx::query_as("SELECT * FROM customers WHERE city = $1")
///     .bind("London")
///     .decrypt_pii(&cryptor)
///     .fetch_all(&pool)
///     .await?;
///
/// let mut some = sqlx::QueryBuilder::new("SELECT * FROM customers WHERE id IN ");
/// some.push_tuples([1, 2, 3], |mut tuple, id| {
///     tuple.push_bind(id);
/// });
/// let one = some.build_query_as::<Customer>().decrypt_pii(&cryptor).fetch_optional(&pool).await?;
/// # Ok(())
/// # }
/// ```
///
/// The query must give every column that the model needs: also those of its id and of its context, to
/// which the values are bound.
///
/// Rows may hold several models, [joined](crate::Joined): they are opened in the same batch. On
/// `sqlx::Any` it works as on the database behind it, with the feature `any`.
pub trait DecryptPii: SqlxQuery + Sized {
    /// Opens the sealed fields of the rows that the query gives.
    fn decrypt_pii(self, cryptor: &Cryptor) -> Decrypting<'_, Self>
    where
        Self: RowSource<Row: PiiRow>,
    {
        Decrypting::new(self, cryptor)
    }
}

impl<Q: SqlxQuery> DecryptPii for Q {}

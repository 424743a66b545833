//! Rows that hold several models.

use std::borrow::Cow;

use pii_core::{
    __private::{KnownRow, Placed, Rows},
    ModelSpec, PiiModel, PiiRow,
};
use sqlx::{ColumnIndex, FromRow, Row, ValueRef as _, error::UnexpectedNullError};

/// A model that can be read from columns whose names begin with something; implemented by
/// `#[pii(from_row)]`, and for an `Option` of such a model.
///
/// [`Joined`] uses it. Use it yourself where a model is in a row twice, or stands beside other values:
///
/// ```no_run
/// # use pii::{Cryptor, EncryptedStr, PiiModel};
/// use pii::{Columns, DecryptPii, FromPrefixedRow, Other};
/// use sqlx::{AssertSqlSafe, Row, Sqlite, sqlite::SqliteRow};
/// # #[derive(PiiModel)]
/// # #[pii(name = "customer", table = "customers", from_row)]
/// # struct Customer { #[pii(id)] id: i64, email: EncryptedStr }
///
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// let customer = Columns::<Customer, Sqlite>::new().of("c").prefixed("c_");
/// let friend = Columns::<Customer, Sqlite>::new().of("f").prefixed("f_");
/// let sql = format!(
///     "SELECT {customer}, {friend}, (SELECT count(*) FROM orders WHERE customer = c.id) AS orders
///      FROM customers c LEFT JOIN customers f ON f.id = c.invited_by"
/// );
/// let rows = sqlx::query(AssertSqlSafe(sql))
///     .try_map(|row: SqliteRow| {
///         Ok((
///             Customer::from_prefixed_row(&row, "c_")?,
///             Option::<Customer>::from_prefixed_row(&row, "f_")?,
///             Other(row.try_get::<i64, _>("orders")?),
///         ))
///     })
///     .decrypt_pii(&cryptor)
///     .fetch_all(&pool)
///     .await?;
/// for (customer, invited_by, Other(orders)) in rows {
///     println!("{customer:?} {invited_by:?} {orders}");
/// }
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from columns with a prefix",
    label = "write `#[pii(from_row)]` on the model, instead of sqlx's own derive"
)]
pub trait FromPrefixedRow<'r, R: Row>: PiiRow {
    /// Reads the model from the columns with this prefix.
    ///
    /// # Errors
    /// Those of [`sqlx::FromRow`].
    fn from_prefixed_row(row: &'r R, prefix: &str) -> sqlx::Result<Self>;
}

/// `None` if the columns of the model's id are NULL, as those of an outer join are where nothing fits.
impl<'r, R, M> FromPrefixedRow<'r, R> for Option<M>
where
    R: Row,
    M: FromPrefixedRow<'r, R> + PiiModel,
    for<'q> &'q str: ColumnIndex<R>,
{
    fn from_prefixed_row(row: &'r R, prefix: &str) -> sqlx::Result<Self> {
        // a nested struct with a prefix has several columns, none of which is named after the field
        let fields = || M::MODEL.fields().iter().filter(|field| field.prefix().is_none());
        let has_id = fields().any(|field| field.role().is_id());
        for field in fields().filter(|field| !has_id || field.role().is_id()) {
            let column = format!("{prefix}{}", field.column());
            if !row.try_get_raw(column.as_str())?.is_null() {
                return M::from_prefixed_row(row, prefix).map(Some);
            }
        }
        Ok(None)
    }
}

/// Several models in one row, for `query_as`.
///
/// Each model is read from columns that are named after it: `customer.email`, by the stable name of
/// the model and the name of the column. [`Columns::joined`](crate::Columns::joined) selects them so; then
/// it is no matter that both tables have a column `id`. All values of all rows are opened in one batch.
///
/// ```no_run
/// use pii::{Columns, Cryptor, DecryptPii, EncryptedStr, Joined, PiiModel};
/// use sqlx::{AssertSqlSafe, Sqlite};
///
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers", from_row)]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     email: EncryptedStr,
/// }
///
/// #[derive(PiiModel)]
/// #[pii(name = "order", table = "orders", from_row)]
/// struct Order {
///     #[pii(id)]
///     id: i64,
///     customer: i64,
///     address: EncryptedStr,
/// }
///
/// # async fn run(pool: sqlx::SqlitePool, cryptor: Cryptor) -> pii::Result<()> {
/// let customer = Columns::<Customer, Sqlite>::new().of("c").joined();
/// let order = Columns::<Order, Sqlite>::new().of("o").joined();
/// let sql = format!("SELECT {customer}, {order} FROM customers c LEFT JOIN orders o ON o.customer = c.id");
///
/// let rows = sqlx::query_as::<_, Joined<(Customer, Option<Order>)>>(AssertSqlSafe(sql))
///     .decrypt_pii(&cryptor)
///     .fetch_all(&pool)
///     .await?;
/// for Joined((customer, order)) in rows {
///     println!("{customer:?} {order:?}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// The `Option` of a model is `None` where the columns of its id are NULL. Tuples of two to six models are
/// known. A model can be in a row once: see [`FromPrefixedRow`] for twice. Postgres cuts names after 63
/// bytes; where the names of model and column are longer together, choose prefixes of your own in that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined<T>(pub T);

impl<T> KnownRow for Joined<T> {}

impl<T: PiiRow> PiiRow for Joined<T> {
    const MODELS: usize = T::MODELS;

    fn models(out: &mut Vec<&'static ModelSpec>) {
        T::models(out);
    }

    fn first_model() -> Option<&'static ModelSpec> {
        T::first_model()
    }

    fn add_to<'a>(&'a self, rows: &mut Rows<'a, '_>) {
        self.0.add_to(rows);
    }

    fn visit_placed<'a>(&'a mut self, placed: &mut Placed<'a, '_>) {
        self.0.visit_placed(placed);
    }
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        impl<'r, R, $($name),+> FromRow<'r, R> for Joined<($($name,)+)>
        where
            R: Row,
            $($name: FromPrefixedRow<'r, R>,)+
        {
            fn from_row(row: &'r R) -> sqlx::Result<Self> {
                Ok(Self(($(joined::<R, $name>(row)?,)+)))
            }
        }
    )+};
}

tuples! {
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
}

fn joined<'r, R: Row, M: FromPrefixedRow<'r, R>>(row: &'r R) -> sqlx::Result<M> {
    M::from_prefixed_row(row, &prefix(M::first_model()))
}

/// What stands before the names of a joined model's columns.
pub(crate) fn prefix(model: Option<&ModelSpec>) -> String {
    format!("{}.", model.map_or("", ModelSpec::name))
}

/// The name of a column with its prefix, for generated code.
pub fn prefixed(prefix: &str, column: &'static str) -> Cow<'static, str> {
    if prefix.is_empty() { column.into() } else { format!("{prefix}{column}").into() }
}

/// Refuses NULL where the field has no way to hold it: the driver of SQLite reads it as
/// 0 or an empty text, and so would make a row of what an outer join has nothing for.
///
/// # Errors
/// [`sqlx::Error::ColumnDecode`].
pub(crate) fn not_null<R: Row>(row: &R, column: &str) -> sqlx::Result<()>
where
    for<'q> &'q str: ColumnIndex<R>,
{
    if !row.try_get_raw(column)?.is_null() {
        return Ok(());
    }
    Err(sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(UnexpectedNullError) })
}

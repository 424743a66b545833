//! A model's columns in a row of a query, for generated code.

use sqlx::{Column as _, ColumnIndex, Decode, Row, Type, ValueRef as _};

use crate::joined::{not_null, prefixed};

/// The columns of a row: found by their places where the row has the model's columns, all of them in their order and
/// no others, as in the queries of tables. Otherwise each is looked for by its name.
pub struct RowColumns<'r, 'p, R> {
    row: &'r R,
    prefix: &'p str,
    is_in_order: bool,
}

impl<'r, 'p, R> RowColumns<'r, 'p, R>
where
    R: Row,
    usize: ColumnIndex<R>,
    for<'q> &'q str: ColumnIndex<R>,
{
    /// The columns of this row that begin with `prefix`. `names` are those of the model, which all differ; none where
    /// not all are known.
    pub fn new(row: &'r R, prefix: &'p str, names: &[&str]) -> Self {
        let columns = row.columns();
        let is_in_order = prefix.is_empty()
            && columns.len() == names.len()
            && columns.iter().zip(names).all(|(column, name)| column.name() == *name);
        Self { row, prefix, is_in_order }
    }

    /// The value of the column that is at this place among those of the model.
    ///
    /// # Errors
    /// Those of [`Row::try_get`] with the column's name.
    pub fn value<T>(&self, at: usize, column: &'static str) -> sqlx::Result<T>
    where
        T: Decode<'r, R::Database> + Type<R::Database>,
    {
        if self.is_in_order
            && let Ok(value) = self.row.try_get(at)
        {
            return Ok(value);
        }
        // an error names the column
        self.row.try_get(&*prefixed(self.prefix, column))
    }

    /// The same of a field that has no way to hold NULL: see [`not_null`].
    ///
    /// # Errors
    /// Those of [`Row::try_get`] with the column's name, also where a driver takes NULL for 0 or an empty text.
    pub fn value_not_null<T>(&self, at: usize, column: &'static str) -> sqlx::Result<T>
    where
        T: Decode<'r, R::Database> + Type<R::Database>,
    {
        if self.is_in_order
            && let Some(value) = self.present(at)
        {
            return Ok(value);
        }
        let column = prefixed(self.prefix, column);
        not_null(self.row, &column)?;
        self.row.try_get(&*column)
    }

    fn present<T>(&self, at: usize) -> Option<T>
    where
        T: Decode<'r, R::Database> + Type<R::Database>,
    {
        let value = self.row.try_get_raw(at).ok().filter(|value| !value.is_null())?;
        let is_known = T::compatible(&value.type_info());
        if is_known { T::decode(value).ok() } else { None }
    }
}

//! Nested structs whose fields are columns of their own: `#[pii(nested, prefix = "address_")]`.

use sqlx::{ColumnIndex, Database, Row, ValueRef as _};

use crate::{
    binder::Binder,
    joined::prefixed,
    model::{ColumnKind, SqlColumn},
    model_types::ColumnTypes,
};

/// The columns of a nested struct, for generated code.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in columns with a prefix",
    label = "this takes a struct with `#[pii(nested)]`, or an `Option` of one"
)]
pub trait NestedColumns {
    /// In the order of the fields, without prefix.
    const COLUMNS: &'static [SqlColumn];
}

impl<T: NestedColumns> NestedColumns for Option<T> {
    const COLUMNS: &'static [SqlColumn] = T::COLUMNS;
}

/// A nested struct that binds its columns, for generated code.
pub trait BindNested<DB: Database>: NestedColumns {
    /// Binds every column.
    fn bind_nested(&self, out: &mut Binder<'_, DB>);

    /// Binds NULL to every column.
    fn bind_nulls(out: &mut Binder<'_, DB>);

    /// Tells the type of every column, in the order of [`NestedColumns::COLUMNS`]. If the struct is optional, all of
    /// them may be NULL.
    fn nested_types(is_optional: bool, out: &mut ColumnTypes<DB>);
}

impl<DB: Database, T: BindNested<DB>> BindNested<DB> for Option<T> {
    fn bind_nested(&self, out: &mut Binder<'_, DB>) {
        match self {
            Some(nested) => nested.bind_nested(out),
            None => T::bind_nulls(out),
        }
    }

    fn bind_nulls(out: &mut Binder<'_, DB>) {
        T::bind_nulls(out);
    }

    fn nested_types(_: bool, out: &mut ColumnTypes<DB>) {
        T::nested_types(true, out);
    }
}

/// A nested struct that is read from its columns, for generated code.
pub trait FromNested<'r, R: Row>: Sized {
    /// Reads it from the columns with this prefix.
    ///
    /// # Errors
    /// Those of [`sqlx::FromRow`].
    fn from_nested(row: &'r R, prefix: &str) -> sqlx::Result<Self>;
}

/// `None` if every column is NULL.
impl<'r, R, T> FromNested<'r, R> for Option<T>
where
    R: Row,
    T: FromNested<'r, R> + NestedColumns,
    for<'q> &'q str: ColumnIndex<R>,
{
    fn from_nested(row: &'r R, prefix: &str) -> sqlx::Result<Self> {
        for column in T::COLUMNS {
            if !row.try_get_raw(&*prefixed(prefix, column.name))?.is_null() {
                return T::from_nested(row, prefix).map(Some);
            }
        }
        Ok(None)
    }
}

/// How long the names are together, with the prefix before each.
#[must_use]
pub const fn prefixed_length(prefix: &str, mut columns: &[SqlColumn]) -> usize {
    let mut length = 0;
    while let [first, rest @ ..] = columns {
        length += prefix.len() + first.name.len();
        columns = rest;
    }
    length
}

/// The names one after the other, with the prefix before each.
#[must_use]
#[allow(clippy::indexing_slicing, reason = "a constant: out of bounds is an error of the compiler")]
pub const fn prefixed_names<const N: usize>(prefix: &str, mut columns: &[SqlColumn]) -> [u8; N] {
    let (mut names, mut end) = ([0; N], 0);
    while let [first, rest @ ..] = columns {
        let mut parts: &[&[u8]] = &[prefix.as_bytes(), first.name.as_bytes()];
        while let [part, others @ ..] = parts {
            let mut part = *part;
            while let [byte, bytes @ ..] = part {
                names[end] = *byte;
                end += 1;
                part = bytes;
            }
            parts = others;
        }
        columns = rest;
    }
    names
}

/// The columns under the names that [`prefixed_names`] made.
///
/// # Panics
/// At compile time.
#[must_use]
#[allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a constant: what goes wrong is an error of the compiler"
)]
pub const fn prefixed_columns<const N: usize>(
    prefix: &str,
    mut columns: &[SqlColumn],
    mut names: &'static [u8],
) -> [SqlColumn; N] {
    let (mut out, mut index) = ([SqlColumn::new("", ColumnKind::Plain); N], 0);
    while let [first, rest @ ..] = columns {
        let (name, others) = names.split_at(prefix.len() + first.name.len());
        out[index] = match std::str::from_utf8(name) {
            Ok(name) => SqlColumn::new(name, first.kind),
            Err(_) => panic!("a name is made of two names"),
        };
        (columns, names) = (rest, others);
        index += 1;
    }
    out
}

/// The columns of a model: its own, and those of nested structs.
#[must_use]
#[allow(clippy::indexing_slicing, reason = "a constant: out of bounds is an error of the compiler")]
pub const fn all_columns<const N: usize>(mut parts: &[&[SqlColumn]]) -> [SqlColumn; N] {
    let (mut out, mut index) = ([SqlColumn::new("", ColumnKind::Plain); N], 0);
    while let [part, others @ ..] = parts {
        let mut part = *part;
        while let [column, rest @ ..] = part {
            out[index] = *column;
            index += 1;
            part = rest;
        }
        parts = others;
    }
    out
}

/// Whether every column has a name of its own.
#[must_use]
pub const fn names_differ(mut columns: &[SqlColumn]) -> bool {
    while let [first, rest @ ..] = columns {
        let mut others = rest;
        while let [other, rest @ ..] = others {
            if is_same(first.name, other.name) {
                return false;
            }
            others = rest;
        }
        columns = rest;
    }
    true
}

const fn is_same(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let ([x, rest_of_a @ ..], [y, rest_of_b @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (rest_of_a, rest_of_b);
    }
    a.is_empty() && b.is_empty()
}

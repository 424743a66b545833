//! The columns that filters are made from.

use std::{fmt, marker::PhantomData};

use super::filter::{Comparison, Condition, Filter, Operand};
use crate::model::FieldSpec;

/// A field that is stored plain, of the type `T`: it can be compared.
///
/// ```text
/// #[derive(PiiModel)]
/// #[pii(name = "customer", table = "customers")]
/// struct Customer {
///     #[pii(id)]
///     id: i64,
///     city: String,
///     phone: Option<EncryptedStr>,
/// }
///
/// let fields = Customer::fields();
/// let filter = fields.city.eq("London").and(fields.phone.is_absent());
/// ```
pub struct PlainColumn<M, T> {
    field: &'static FieldSpec,
    types: PhantomData<fn() -> (M, T)>,
}

/// A field that is stored sealed: whether it is there can be asked, and nothing else.
pub struct SealedColumn<M, T> {
    field: &'static FieldSpec,
    types: PhantomData<fn() -> (M, T)>,
}

/// What a field must be to be compared. No sealed field is.
#[diagnostic::on_unimplemented(
    message = "a sealed field can't be compared: each of its stored texts is different",
    label = "this field is sealed",
    note = "search by a blind index of the field, or open the rows and compare in the program"
)]
pub trait Comparable {}

impl<M, T> PlainColumn<M, T> {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(field: &'static FieldSpec) -> Self {
        Self { field, types: PhantomData }
    }

    /// Rows in which the field is NULL.
    #[must_use]
    pub fn is_absent(self) -> Filter<M> {
        Filter::new(Condition::Absent(self.field))
    }

    /// Rows in which the field is not NULL.
    #[must_use]
    pub fn is_present(self) -> Filter<M> {
        Filter::new(Condition::Present(self.field))
    }
}

impl<M, T: Send + Sync + 'static> PlainColumn<M, T> {
    /// Rows in which the field is equal to this value.
    #[must_use]
    pub fn eq(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::Equal, value)
    }

    /// Rows in which the field has another value. Those in which it is NULL are not among them.
    #[must_use]
    pub fn ne(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::NotEqual, value)
    }

    /// Rows in which the field is less than this value.
    #[must_use]
    pub fn lt(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::Less, value)
    }

    /// Rows in which the field is less than this value or equal to it.
    #[must_use]
    pub fn le(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::LessOrEqual, value)
    }

    /// Rows in which the field is greater than this value.
    #[must_use]
    pub fn gt(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::Greater, value)
    }

    /// Rows in which the field is greater than this value or equal to it.
    #[must_use]
    pub fn ge(self, value: impl Into<T>) -> Filter<M> {
        self.compare(Comparison::GreaterOrEqual, value)
    }

    /// Rows in which the field is equal to one of these values; of none, no row.
    #[must_use]
    pub fn is_in<V: Into<T>>(self, values: impl IntoIterator<Item = V>) -> Filter<M> {
        let values = values.into_iter().map(|value| Operand::new::<T>(value.into())).collect();
        Filter::new(Condition::In(self.field, values))
    }

    fn compare(self, comparison: Comparison, value: impl Into<T>) -> Filter<M> {
        Filter::new(Condition::Compare(self.field, comparison, Operand::new::<T>(value.into())))
    }
}

impl<M> PlainColumn<M, String> {
    /// Rows in which the field is like this SQL pattern: `%` stands for any text, `_` for any character.
    /// Databases differ in whether case matters.
    #[must_use]
    pub fn like(self, pattern: impl Into<String>) -> Filter<M> {
        Filter::new(Condition::Like(self.field, pattern.into().into()))
    }
}

impl<M, T> SealedColumn<M, T> {
    /// For generated code.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(field: &'static FieldSpec) -> Self {
        Self { field, types: PhantomData }
    }

    /// Rows in which the field is NULL, which is seen without opening anything.
    #[must_use]
    pub fn is_absent(self) -> Filter<M> {
        Filter::new(Condition::Absent(self.field))
    }

    /// Rows in which the field is not NULL.
    #[must_use]
    pub fn is_present(self) -> Filter<M> {
        Filter::new(Condition::Present(self.field))
    }
}

macro_rules! refused {
    ($($method:ident)*) => {
        /// Not for sealed fields: these methods say so when a program that calls one is compiled.
        #[doc(hidden)]
        impl<M, T> SealedColumn<M, T> {
            $(
                #[must_use]
                pub fn $method<V>(self, _: V) -> Filter<M>
                where
                    Self: Comparable,
                {
                    Filter::new(Condition::Or(Vec::new()))
                }
            )*
        }
    };
}
refused!(eq ne lt le gt ge is_in like);

macro_rules! columns {
    ($($column:ident)*) => {$(
        impl<M, T> Clone for $column<M, T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<M, T> Copy for $column<M, T> {}

        impl<M, T> fmt::Debug for $column<M, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($column), self.field.name())
            }
        }
    )*};
}
columns!(PlainColumn SealedColumn);

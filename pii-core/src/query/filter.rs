//! Conditions.

use std::{any::Any, fmt, marker::PhantomData, sync::Arc};

use crate::model::{FieldSpec, PiiModel};

/// A condition on the rows of a model, for tables to search by.
///
/// Filters come from the model's fields: the derive writes `Customer::fields()`, with one column for each
/// field. Plain fields, those of level 1 too, can be compared; sealed ones can't, as their stored texts are
/// different each time.
///
/// Values in a filter are kept as they are, without being wiped: they are of fields that are stored plain.
/// `Debug` shows the columns and none of the values.
pub struct Filter<M> {
    condition: Condition,
    model: PhantomData<fn() -> M>,
}

/// What a [`Filter`] says. For adapters, which turn it into the conditions of their database.
#[derive(Clone)]
#[non_exhaustive]
pub enum Condition {
    /// Every row.
    All,
    /// The field is compared with a value. Where it is absent, the row does not match.
    Compare(&'static FieldSpec, Comparison, Operand),
    /// The field is equal to one of these. Of none, no row matches.
    In(&'static FieldSpec, Vec<Operand>),
    /// The field is text like this SQL pattern: `%` stands for any text, `_` for any character.
    Like(&'static FieldSpec, Arc<str>),
    /// The field is absent: NULL.
    Absent(&'static FieldSpec),
    /// The field is there.
    Present(&'static FieldSpec),
    /// All of these hold.
    And(Vec<Condition>),
    /// One of these holds. Of none, no row matches.
    Or(Vec<Condition>),
}

/// How a field and a value are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// They are equal.
    Equal,
    /// They are not equal.
    NotEqual,
    /// The field is less.
    Less,
    /// The field is less, or equal.
    LessOrEqual,
    /// The field is greater.
    Greater,
    /// The field is greater, or equal.
    GreaterOrEqual,
}

/// A value to compare with, of the type of the field, without its `Option`.
#[derive(Clone)]
pub struct Operand(Arc<dyn Any + Send + Sync>);

impl Operand {
    pub(super) fn new<T: Send + Sync + 'static>(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// The value, if it is of this type.
    #[must_use]
    pub fn value<T: 'static>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl<M> Filter<M> {
    pub(super) fn new(condition: Condition) -> Self {
        Self { condition, model: PhantomData }
    }

    /// Every row, as far as the cryptor's scope allows.
    #[must_use]
    pub fn all() -> Self {
        Self::new(Condition::All)
    }

    /// This, and the other too.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::new(match (self.condition, other.condition) {
            (Condition::All, other) | (other, Condition::All) => other,
            (Condition::And(mut all), other) => {
                all.push(other);
                Condition::And(all)
            }
            (one, other) => Condition::And(vec![one, other]),
        })
    }

    /// This, or the other, or both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self::new(match (self.condition, other.condition) {
            (Condition::All, _) | (_, Condition::All) => Condition::All,
            (Condition::Or(mut any), other) => {
                any.push(other);
                Condition::Or(any)
            }
            (one, other) => Condition::Or(vec![one, other]),
        })
    }

    /// What the filter says.
    #[must_use]
    pub fn condition(&self) -> &Condition {
        &self.condition
    }
}

impl<M> Clone for Filter<M> {
    fn clone(&self) -> Self {
        Self::new(self.condition.clone())
    }
}

impl<M: PiiModel> fmt::Debug for Filter<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", M::MODEL.name(), self.condition)
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Compare(field, comparison, _) => write!(f, "{} {comparison:?} ?", field.name()),
            Self::In(field, values) => write!(f, "{} in {} values", field.name(), values.len()),
            Self::Like(field, _) => write!(f, "{} like ?", field.name()),
            Self::Absent(field) => write!(f, "{} is absent", field.name()),
            Self::Present(field) => write!(f, "{} is present", field.name()),
            Self::And(all) => write!(f, "all of {all:?}"),
            Self::Or(any) => write!(f, "any of {any:?}"),
        }
    }
}

impl fmt::Debug for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Operand(?)")
    }
}

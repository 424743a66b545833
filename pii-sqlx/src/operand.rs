//! From a filter's operand to an argument of a statement.

use pii_core::Operand;
use sqlx::{Database, Encode, Type, error::BoxDynError};

use crate::statement::Statement;

/// Where a model binds the operand of a filter, as a value of the field's type.
pub struct OperandBinder<'a, DB: Database> {
    statement: &'a mut Statement<DB>,
    operand: &'a Operand,
    /// nothing, as long as the model has bound none
    bound: Option<Result<(), BoxDynError>>,
}

impl<'a, DB: Database> OperandBinder<'a, DB> {
    pub(crate) fn new(statement: &'a mut Statement<DB>, operand: &'a Operand) -> Self {
        Self { statement, operand, bound: None }
    }

    /// Binds the operand, if it is of this type.
    pub fn bind<T>(&mut self)
    where
        T: for<'q> Encode<'q, DB> + Type<DB> + 'static,
    {
        if let Some(value) = self.operand.value::<T>() {
            self.bound = Some(self.statement.bind(value));
        }
    }

    pub(crate) fn finish(self) -> Option<Result<(), BoxDynError>> {
        self.bound
    }
}

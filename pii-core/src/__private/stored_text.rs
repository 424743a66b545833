//! Whether the type of a field writes into an encryption context what a database makes of the field's column.

use std::marker::PhantomData;

use crate::context::ContextValue;

/// `StoredText::<T>::IS`: as `T` has it. Where `T` is no [`ContextValue`] it is `false`, by [`NoStoredText`]: the error
/// is told where the value is written.
pub struct StoredText<T: ?Sized>(PhantomData<T>);

impl<T: ContextValue + ?Sized> StoredText<T> {
    /// As the type has it.
    pub const IS: bool = T::IS_STORED_TEXT;
}

/// What [`StoredText`] has otherwise.
pub trait NoStoredText {
    /// It is not.
    const IS: bool = false;
}

impl<T: ?Sized> NoStoredText for StoredText<T> {}

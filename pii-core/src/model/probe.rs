//! How the generated code tells sealed fields from plain ones by type, through aliases too.
//!
//! `Probe::<T>::__pii_kind()` means the function of `Probe` itself where `T: PiiField`, and that of
//! [`AnyField`] for every other type. It is looked up among all traits in scope: no other has a function of this name.

use std::marker::PhantomData;

use super::PiiField;

/// Asks about a type.
pub struct Probe<T>(PhantomData<T>);

/// A field of this type holds sealed values.
pub struct HoldsSealed;

/// A field of this type holds none.
pub struct HoldsNone;

impl<T: PiiField> Probe<T> {
    /// What a field of this type holds.
    #[must_use]
    pub const fn __pii_kind() -> HoldsSealed {
        HoldsSealed
    }
}

/// Answers where [`Probe`] itself has no answer.
pub trait AnyField {
    /// What a field of this type holds.
    #[must_use]
    fn __pii_kind() -> HoldsNone {
        HoldsNone
    }
}

impl<T> AnyField for Probe<T> {}

#[diagnostic::on_unimplemented(
    message = "this field holds an encrypted value but is not marked `#[pii]`",
    label = "add `#[pii]`, for a nested struct `#[pii(nested)]`, or `#[pii(skip)]` to leave it out of the model",
    note = "an unmarked field is neither encrypted on save nor decrypted by `decrypt_pii()`"
)]
/// What an unmarked field must hold.
pub trait Unmarked: Sized {
    /// Compiles for such a field.
    fn check(self) {}
}

#[diagnostic::do_not_recommend]
impl Unmarked for HoldsNone {}

#[diagnostic::on_unimplemented(
    message = "this field holds an encrypted value but is marked `level = 1`, which is stored plain",
    label = "remove `level = 1` and write `#[pii]`, or make the type a plain one"
)]
/// What a level 1 field must hold.
pub trait LevelOne: Sized {
    /// Compiles for such a field.
    fn check(self) {}
}

#[diagnostic::do_not_recommend]
impl LevelOne for HoldsNone {}

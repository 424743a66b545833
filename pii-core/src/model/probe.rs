//! How the generated code tells sealed fields from plain ones by type, through aliases too.
//!
//! `<Probe<T>>::HOLDS` means the inherent constant where `T: PiiField`, and that of the trait
//! [`PlainField`] for every other type.

use std::{fmt, marker::PhantomData};

use super::{FieldSpec, Holds, PiiField, Walk, WalkMut};
use crate::mask::Mask;

pub struct Probe<T: ?Sized>(PhantomData<T>);

impl<T: PiiField> Probe<T> {
    pub const HOLDS: Holds = T::HOLDS;

    pub fn visit<'a>(field: &'a T, spec: &'static FieldSpec, walk: &mut Walk<'a>) {
        walk.field(spec, |walk| field.visit(walk));
    }

    pub fn visit_mut<'a>(field: &'a mut T, walk: &mut WalkMut<'a>) {
        field.visit_mut(walk);
    }

    pub fn debug<'a>(field: &'a T, mask: Mask) -> impl fmt::Debug + 'a {
        fmt::from_fn(move |f| field.fmt_masked(mask, f))
    }
}

pub trait PlainField<T> {
    const HOLDS: Holds = Holds::Plain;

    fn visit<'a>(_: &'a T, _: &'static FieldSpec, _: &mut Walk<'a>) {}

    fn visit_mut<'a>(_: &'a mut T, _: &mut WalkMut<'a>) {}

    fn debug<'a>(field: &'a T, _: Mask) -> &'a dyn fmt::Debug
    where
        T: fmt::Debug,
    {
        field
    }
}

impl<T> PlainField<T> for Probe<T> {}

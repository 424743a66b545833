//! How the generated `Debug` shows personal fields.

use std::fmt;

use crate::mask::{FULL, Mask};

/// What stands for a value of the encryption context.
pub const IN_CONTEXT: fmt::Arguments<'static> = format_args!("<context>");

/// A personal field that is stored plain.
///
/// `(&&&personal).__pii_shown()` means the first of [`MaskOptional`], [`MaskText`] and [`MaskAny`] that
/// the type has: one dereference more for each. It is looked up among all traits in scope: no other has a method of
/// this name.
pub struct Personal<'a, T>(pub &'a T, pub Mask);

/// Masked text, or the word for its absence.
pub struct Shown {
    text: Option<String>,
    optional: bool,
}

pub trait MaskOptional {
    fn __pii_shown(&self) -> Shown;
}

impl<T: AsRef<str>> MaskOptional for &&Personal<'_, Option<T>> {
    fn __pii_shown(&self) -> Shown {
        Shown { text: self.0.as_ref().map(|text| self.1.apply(text.as_ref())), optional: true }
    }
}

pub trait MaskText {
    fn __pii_shown(&self) -> Shown;
}

impl<T: AsRef<str>> MaskText for &Personal<'_, T> {
    fn __pii_shown(&self) -> Shown {
        Shown { text: Some(self.1.apply(self.0.as_ref())), optional: false }
    }
}

pub trait MaskAny {
    fn __pii_shown(&self) -> Shown;
}

impl<T> MaskAny for Personal<'_, T> {
    fn __pii_shown(&self) -> Shown {
        Shown { text: Some(FULL.to_owned()), optional: false }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) if self.optional => f.debug_tuple("Some").field(&format_args!("{text}")).finish(),
            Some(text) => f.write_str(text),
            None => f.write_str("None"),
        }
    }
}

//! The errors of one derive.

use std::{cell::RefCell, fmt::Display};

use proc_macro2::Span;
use quote::ToTokens;

/// Collects every error of one derive, so that the user sees them all at once.
#[derive(Default)]
pub(crate) struct Ctxt(RefCell<Option<syn::Error>>);

impl Ctxt {
    /// An error at these tokens.
    pub(crate) fn error(&self, at: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(at, message));
    }

    /// An error at a place without tokens of its own.
    pub(crate) fn error_at(&self, at: Span, message: impl Display) {
        self.push(syn::Error::new(at, message));
    }

    pub(crate) fn push(&self, error: syn::Error) {
        match &mut *self.0.borrow_mut() {
            Some(all) => all.combine(error),
            none => *none = Some(error),
        }
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.0.borrow().is_some()
    }

    pub(crate) fn finish(self) -> Option<syn::Error> {
        self.0.into_inner()
    }
}

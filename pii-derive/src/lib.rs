//! The derives of `pii`: use them through that crate, which exports them beside the traits of the
//! same names and shows them in examples that compile.
#![forbid(unsafe_code)]

mod ast;
mod attr;
mod check;
mod ctxt;
mod expand;
mod types;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a model.
#[proc_macro_derive(PiiModel, attributes(pii))]
pub fn derive_pii_model(input: TokenStream) -> TokenStream {
    expand::derive_model(&parse_macro_input!(input as DeriveInput)).into()
}

/// Makes a newtype an id.
#[proc_macro_derive(RowId, attributes(pii))]
pub fn derive_row_id(input: TokenStream) -> TokenStream {
    expand::newtype(&parse_macro_input!(input as DeriveInput), &expand::RowId).into()
}

/// Makes a newtype a value of encryption contexts.
#[proc_macro_derive(ContextValue, attributes(pii))]
pub fn derive_context_value(input: TokenStream) -> TokenStream {
    expand::newtype(&parse_macro_input!(input as DeriveInput), &expand::ContextValue).into()
}

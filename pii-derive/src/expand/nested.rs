//! `PiiField` of a struct that stands in others.

use proc_macro2::TokenStream;
use quote::quote;

use super::{debug, generics, model};
use crate::ast::Model;

pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let generics = generics::with(model, generics::debug_predicates(model));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let (visit, visit_mut) = model::visitors(model);
    let masked = debug::body(model);
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::PiiField for #ident #ty_generics #where_clause {
            const HOLDS: #private::Holds = #private::Holds::Nested(<Self as __PiiFacts>::FIELDS);

            #visit

            #visit_mut

            fn fmt_masked(&self, _: #private::Mask, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                #masked
            }
        }
    }
}

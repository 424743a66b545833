//! Fields that the derive takes to be plain, but whose types hold sealed values behind an alias.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};

use crate::{
    ast::{Kind, Model},
    types,
};

/// A function that compiles only if no field was forgotten.
pub(super) fn probes(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (impl_generics, ty_generics, where_clause) = model.generics.split_for_impl();
    let fields = model.columns().filter(|field| matches!(field.kind, Kind::Plain | Kind::Personal));
    let probes = fields.map(|field| {
        let ty = field.ty;
        let (start, end) = types::ends(ty);
        let private = model.private_at(start);
        let wanted = Ident::new(if field.kind == Kind::Plain { "Unmarked" } else { "LevelOne" }, start);
        let probe = quote_spanned!(start=> #private::Probe::<#ty>);
        let kind = quote_spanned!(end=> #probe::__pii_kind());
        quote_spanned!(start=> #private::#wanted::check(#kind);)
    });
    quote! {
        trait __PiiProbes {
            #[allow(dead_code)]
            fn probes();
        }

        #[automatically_derived]
        impl #impl_generics __PiiProbes for #ident #ty_generics #where_clause {
            fn probes() {
                #[allow(unused_imports)]
                use #private::AnyField as _;
                #(#probes)*
            }
        }
    }
}

//! `Debug` without personal data and without the values of the encryption context.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use super::{generics, model::at_type};
use crate::{
    ast::{Kind, Model},
    types,
};

pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    if model.attrs.keys.has("debug") {
        return TokenStream::new();
    }
    let ident = model.ident;
    let generics = generics::with(model, generics::debug_predicates(model));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let body = body(model);
    quote! {
        #[automatically_derived]
        impl #impl_generics ::core::fmt::Debug for #ident #ty_generics #where_clause {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { #body }
        }
    }
}

/// Writes the fields of `self` to `f`.
pub(super) fn body(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let name = model.ident.unraw().to_string();
    let fields = model.columns().enumerate().map(|(index, field)| {
        let (ident, label) = (field.ident, field.ident.unraw().to_string());
        let (start, end) = types::ends(field.ty);
        let mask = quote!(#private::FieldSpec::mask(&<Self as __PiiFacts>::FIELDS[#index]));
        let value = match field.kind {
            Kind::Sealed(_) => {
                let call = at_type(field, &quote!(#private::PiiField), "fmt_masked");
                quote!(::core::fmt::from_fn(|f| #call(&self.#ident, #mask, f)))
            }
            _ if field.is_in_context() => quote!(#private::IN_CONTEXT),
            Kind::Personal => quote! {{
                #[allow(unused_imports)]
                use #private::{MaskAny as _, MaskOptional as _, MaskText as _};
                (&&&#private::Personal(&self.#ident, #mask)).__pii_shown()
            }},
            _ => {
                let mut ident = ident.clone();
                ident.set_span(ident.span().located_at(end));
                quote_spanned!(start=> self.#ident)
            }
        };
        let value = quote_spanned!(start=> &#value);
        quote!(::core::fmt::DebugStruct::field(&mut out, #label, #value);)
    });
    let finish = if model.fields.iter().any(|field| field.kind == Kind::Skipped) {
        quote!(finish_non_exhaustive)
    } else {
        quote!(finish)
    };
    quote! {
        let mut out = ::core::fmt::Formatter::debug_struct(f, #name);
        #(#fields)*
        ::core::fmt::DebugStruct::#finish(&mut out)
    }
}

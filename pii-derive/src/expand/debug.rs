//! `Debug` without personal data and without the values of the encryption context.

use proc_macro2::{Ident, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;

use super::generics;
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
        let spec = quote!(<Self as __PiiFacts>::FIELDS[#index]);
        let value = match field.kind {
            Kind::Sealed(_) => {
                let function = Ident::new("sealed_field", start);
                let ty = field.ty;
                let call = quote_spanned!(start=> #private::#function::<#ty>);
                quote_spanned!(end=> #call(&self.#ident, #spec.mask()))
            }
            _ if field.is_in_context() => quote!(#private::IN_CONTEXT),
            Kind::Personal => quote! {{
                #[allow(unused_imports)]
                use #private::{MaskAny as _, MaskOptional as _, MaskText as _};
                (&&&#private::Personal(&self.#ident, #spec.mask())).shown()
            }},
            _ => quote_spanned!(start=> self.#ident),
        };
        quote_spanned!(start=> out.field(#label, &#value);)
    });
    let finish = if model.fields.iter().any(|field| field.kind == Kind::Skipped) {
        quote!(out.finish_non_exhaustive())
    } else {
        quote!(out.finish())
    };
    quote! {
        let mut out = f.debug_struct(#name);
        #(#fields)*
        #finish
    }
}

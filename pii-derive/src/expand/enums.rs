//! `PiiEnum`: an enum whose variants are sealed as their names.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Fields, Ident, LitStr, ext::IdentExt};

use super::in_const;
use crate::{attr, ctxt::Ctxt};

struct Variant<'a> {
    ident: &'a Ident,
    name: String,
    was: Vec<LitStr>,
}

pub(crate) fn pii_enum(input: &DeriveInput) -> TokenStream {
    let cx = Ctxt::default();
    let krate = attr::crate_alone(&cx, &input.attrs);
    let variants = variants(&cx, input);
    if let Some(parameter) = input.generics.params.first() {
        cx.error(parameter, "an enum that is sealed by the names of its variants has no parameters");
    }
    let errors = cx.finish();
    let variants = if errors.is_none() { variants } else { Vec::new() };
    let errors = errors.map(syn::Error::into_compile_error);
    let ident = &input.ident;
    let private = quote!(#krate::__private);
    let names = variants.iter().map(|variant| &variant.name);
    let named = variants.iter().map(|Variant { ident, name, .. }| quote!(Self::#ident => #name,));
    // an enum without variants, or beside errors
    let nobody = variants.is_empty().then(|| quote!(_ => ::core::unreachable!(),));
    let found = variants.iter().map(|Variant { ident, name, was }| {
        quote!(#name #(| #was)* => ::core::option::Option::Some(Self::#ident),)
    });
    let implementation = in_const(&quote! {
        #[automatically_derived]
        impl #private::PiiEnum for #ident {
            const NAMES: &'static [&'static str] = &[#(#names),*];

            fn name(&self) -> &'static str {
                match self { #(#named)* #nobody }
            }

            fn from_name(name: &str) -> ::core::option::Option<Self> {
                match name {
                    #(#found)*
                    _ => ::core::option::Option::None,
                }
            }
        }

        #[automatically_derived]
        impl #private::PiiValue for #ident {
            const TYPE: #private::TypeCode = #private::TypeCode::ENUM;
            const PAD: ::core::option::Option<u32> = ::core::option::Option::Some(
                #private::enum_bucket(<Self as #private::PiiEnum>::NAMES),
            );

            type Exposed<'__pii> = Self;

            fn encode(self) -> #private::Result<#private::SecretBytes> {
                ::core::result::Result::Ok(#private::PiiScalar::to_bytes(&self))
            }

            fn decode(bytes: &[u8]) -> #private::Result<Self> { #private::enum_value(bytes) }

            fn check(bytes: &[u8]) -> bool { #private::is_enum(bytes) }

            fn from_plaintext(text: &str) -> ::core::option::Option<#private::SecretBytes> {
                #private::enum_from_plaintext::<Self>(text)
            }

            fn to_plaintext(bytes: &[u8]) -> ::core::option::Option<#private::SecretBytes> {
                ::core::option::Option::Some(#private::SecretBytes::copy_from(bytes))
            }
        }

        #[automatically_derived]
        impl #private::PiiScalar for #ident {
            fn to_bytes(&self) -> #private::SecretBytes { #private::enum_bytes(self) }
        }

        #[automatically_derived]
        impl #private::IndexedValue for #ident {
            type Term = Self;

            fn term(term: &Self) -> #private::Result<#private::SecretBytes> {
                ::core::result::Result::Ok(#private::enum_bytes(term))
            }
        }
    });
    quote!(#errors #implementation)
}

fn variants<'a>(cx: &Ctxt, input: &'a DeriveInput) -> Vec<Variant<'a>> {
    let Data::Enum(data) = &input.data else {
        cx.error(&input.ident, "`PiiEnum` is for enums; a struct is sealed whole as `Encrypted<Json<...>>`");
        return Vec::new();
    };
    if data.variants.is_empty() {
        cx.error(&input.ident, "an enum without variants has no value to seal");
    }
    let mut names = BTreeSet::new();
    let mut variants = Vec::new();
    for variant in &data.variants {
        if !matches!(variant.fields, Fields::Unit) {
            cx.error(
                &variant.fields,
                "a variant is sealed as its name, without what it holds: seal the enum whole as `Encrypted<Json<...>>`",
            );
        }
        let attrs = attr::Variant::parse(cx, &variant.attrs);
        let was = attrs.was.map(|was| was.value).unwrap_or_default();
        let name =
            attrs.name.as_ref().map_or_else(|| variant.ident.unraw().to_string(), |name| name.value.value());
        if !names.insert(name.clone()) {
            match &attrs.name {
                Some(given) => cx.error(&given.value, format!("there are two variants `{name}`")),
                None => cx.error(&variant.ident, format!("there are two variants `{name}`")),
            }
        }
        for earlier in &was {
            if !names.insert(earlier.value()) {
                cx.error(earlier, format!("`{}` stands for another variant too", earlier.value()));
            }
        }
        variants.push(Variant { ident: &variant.ident, name, was });
    }
    variants
}

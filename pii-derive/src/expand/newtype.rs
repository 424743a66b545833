//! `RowId` and `ContextValue` of newtypes: those of the one field.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::{Data, DeriveInput, Fields, Path};

use super::in_const;
use crate::{attr, ctxt::Ctxt, types};

/// What tells the two derives apart.
pub(crate) struct Trait {
    name: &'static str,
    method: &'static str,
    /// the type of the argument
    out: &'static str,
    out_has_lifetime: bool,
}

#[allow(non_upper_case_globals, reason = "named as the traits")]
pub(crate) const RowId: Trait =
    Trait { name: "RowId", method: "write_row", out: "RowWriter", out_has_lifetime: false };
#[allow(non_upper_case_globals, reason = "named as the traits")]
pub(crate) const ContextValue: Trait =
    Trait { name: "ContextValue", method: "write_context", out: "ContextText", out_has_lifetime: true };

pub(crate) fn newtype(input: &DeriveInput, of: &Trait) -> TokenStream {
    let cx = Ctxt::default();
    let krate = attr::crate_alone(&cx, &input.attrs);
    let field = single_field(input);
    if field.is_none() {
        let name = of.name;
        cx.error(&input.ident, format!("`{name}` can be derived for a struct with one field only, such as `struct CustomerId(i64);`; implement the trait for other types"));
    }
    let errors = cx.finish();
    let field = field.filter(|_| errors.is_none());
    let errors = errors.map(syn::Error::into_compile_error);
    let implementation = in_const(&implementation(input, of, &krate, field));
    quote!(#errors #implementation)
}

fn single_field(input: &DeriveInput) -> Option<(syn::Member, &syn::Type)> {
    let Data::Struct(data) = &input.data else { return None };
    let fields: &Fields = &data.fields;
    let mut members = fields.members().zip(fields.iter().map(|field| &field.ty));
    members.next().filter(|_| fields.len() == 1)
}

/// Without a field: an empty implementation beside an error.
fn implementation(
    input: &DeriveInput,
    of: &Trait,
    krate: &Path,
    field: Option<(syn::Member, &syn::Type)>,
) -> TokenStream {
    let ident = &input.ident;
    let private = quote!(#krate::__private);
    let (name, method, out) =
        (format_ident!("{}", of.name), format_ident!("{}", of.method), format_ident!("{}", of.out));
    let lifetime = of.out_has_lifetime.then(|| quote!(<'_>));
    let mut generics = input.generics.clone();
    let call = field.as_ref().map(|(member, ty)| {
        if types::mentions_parameter(ty, &generics) {
            generics.make_where_clause().predicates.push(syn::parse_quote!(#ty: #private::#name));
        }
        let (start, end) = types::ends(ty);
        let path = quote_spanned!(start=> <#ty as #private::#name>);
        quote_spanned!(end=> #path::#method(&self.#member, out))
    });
    // as the one field has it
    let is_stored_text = field
        .filter(|_| of.name == ContextValue.name)
        .map(|(_, ty)| quote!(const IS_STORED_TEXT: bool = <#ty as #private::ContextValue>::IS_STORED_TEXT;));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::#name for #ident #ty_generics #where_clause {
            #is_stored_text

            fn #method(&self, out: &mut #private::#out #lifetime) { #call }
        }
    }
}

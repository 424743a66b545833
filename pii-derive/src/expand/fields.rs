//! `fields()`: the columns that filters are made from.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};

use crate::{
    ast::{Field, Model},
    types,
};

/// Nothing for a generic struct: what its columns hold is not known to a filter.
pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    if !model.generics.params.is_empty() {
        return TokenStream::new();
    }
    let (ident, vis) = (model.ident, model.vis);
    let function = model
        .attrs
        .fields
        .as_ref()
        .map_or_else(|| Ident::new("fields", Span::call_site()), |fields| fields.value.clone());
    let columns = model.columns().filter(|field| has_column(field)).map(|field| {
        let (name, ty, vis) = (field.ident, operand_type(field), field.vis);
        let column = column(model, field);
        // each column is seen by those who see the field
        quote!(#vis #name: #column<#ident, #ty>)
    });
    let values = model.columns().enumerate().filter(|(_, field)| has_column(field)).map(|(index, field)| {
        let name = field.ident;
        let column = column(model, field);
        quote!(#name: #column::new(&<#ident as __PiiFacts>::FIELDS[#index]))
    });
    quote! {
        #[derive(::core::clone::Clone, ::core::marker::Copy)]
        #[allow(dead_code, missing_docs, missing_debug_implementations, unreachable_pub)]
        #vis struct __PiiColumns { #(#columns),* }

        #[automatically_derived]
        #[allow(dead_code, unreachable_pub, clippy::must_use_candidate)]
        impl #ident {
            /// The fields, to make filters from.
            #vis fn #function() -> __PiiColumns { __PiiColumns { #(#values),* } }
        }
    }
}

/// The arms that bind operands, in the implementation for tables.
pub(super) fn operands(model: &Model<'_>) -> TokenStream {
    if !model.generics.params.is_empty() {
        return TokenStream::new();
    }
    let private = model.private();
    let arms = model.columns().enumerate().filter(|(_, field)| !field.is_sealed() && has_column(field)).map(
        |(index, field)| {
            let ty = operand_type(field);
            let (start, _) = types::ends(ty);
            quote_spanned!(start=> #index => out.bind::<#ty>(),)
        },
    );
    quote! {
        fn bind_operand(field: usize, out: &mut #private::OperandBinder<'_, __DB>) {
            match field {
                #(#arms)*
                _ => {}
            }
        }
    }
}

/// The type that a field is compared with.
pub(super) fn operand_type<'a>(field: &Field<'a>) -> &'a syn::Type {
    types::option_argument(field.ty).unwrap_or(field.ty)
}

fn column(model: &Model<'_>, field: &Field<'_>) -> TokenStream {
    let private = model.private();
    if field.is_sealed() { quote!(#private::SealedColumn) } else { quote!(#private::PlainColumn) }
}

/// `Self` means something else in the struct of the columns.
fn has_column(field: &Field<'_>) -> bool {
    !types::mentions_self(field.ty)
}

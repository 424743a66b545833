//! What is generated beside errors: empty implementations, so that a mistake gives its own message
//! and not one more for each use of the struct.

use proc_macro2::TokenStream;
use quote::quote;

use super::{dynamo, from_row, sql};
use crate::ast::Model;

pub(super) fn implementations(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (impl_generics, ty_generics, where_clause) = model.generics.split_for_impl();
    let debug = (!model.attrs.keys.has("debug")).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics ::core::fmt::Debug for #ident #ty_generics #where_clause {
                fn fmt(&self, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result { ::core::unreachable!() }
            }
        }
    });
    let visitors = quote! {
        fn visit<'__pii>(&'__pii self, _: &mut #private::Walk<'__pii>) {}

        fn visit_mut<'__pii>(&'__pii mut self, _: &mut #private::WalkMut<'__pii>) {}
    };
    if model.attrs.is_nested() {
        let (sql, from_row) = (sql::nested_fallback(model), from_row::nested_fallback(model));
        return quote! {
            #debug

            #sql

            #from_row

            #[automatically_derived]
            impl #impl_generics #private::PiiField for #ident #ty_generics #where_clause {
                const HOLDS: #private::Holds = #private::Holds::Nested(&[]);
                #visitors
                fn fmt_masked(&self, _: #private::Mask, _: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                    ::core::unreachable!()
                }
            }
        };
    }
    let sql = sql::wrap(
        model,
        [],
        &quote! {
            const COLUMNS: &'static [#private::SqlColumn] = &[];
            fn bind_columns(&self, _: &mut #private::Binder<'_, __DB>) {}
            fn bind_id(_: &Self::Id, _: &mut #private::Binder<'_, __DB>) {}
            fn bind_own_id(&self, _: &mut #private::Binder<'_, __DB>) {}
            fn write_id(_: &Self::Id, _: &mut #private::RowWriter) {}
            fn write_own_id(&self, _: &mut #private::RowWriter) {}
            fn column_types(_: &mut #private::ColumnTypes<__DB>) {}
        },
    );
    let from_row =
        model.attrs.wants_from_row().then(|| from_row::wrap(model, [], &quote!(::core::unreachable!())));
    let dynamo = dynamo::fallback(model);
    quote! {
        #debug

        #[automatically_derived]
        impl #impl_generics #private::PiiModel for #ident #ty_generics #where_clause {
            const MODEL: &'static #private::ModelSpec =
                &#private::ModelSpec::new("", &[], #private::RowBinding::Field);
            fn write_context(&self, _: &mut #private::ContextWriter) {}
            fn write_row(&self, _: &mut #private::RowWriter) {}
            #visitors
        }

        #sql

        #from_row

        #dynamo
    }
}

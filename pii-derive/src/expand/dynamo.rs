//! `DynamoModel`: the key of an item. It stands inside `if_dynamo!`, which is empty unless the library
//! was built with the adapter.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Type, WherePredicate};

use super::generics::{bound, lazy_bound, model_predicates, with};
use crate::{
    ast::{Field, Model},
    types,
};

/// Nothing for a model whose id can't be the key of an item.
pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    let Some(ids) = key(model) else { return TokenStream::new() };
    let private = model.private();
    let parts: Vec<_> = match ids.len() {
        1 => vec![quote!(id)],
        count => (0..count).map(syn::Index::from).map(|index| quote!(&id.#index)).collect(),
    };
    let own: Vec<_> = ids.iter().map(|field| field.ident).map(|ident| quote!(&self.#ident)).collect();
    let attributes: Vec<_> = ids.iter().map(|field| &field.attribute).collect();
    wrap(
        model,
        predicates(model, &ids),
        &quote! {
            fn write_key(id: &Self::Id, out: &mut #private::KeyWriter) {
                #(out.attribute(#attributes, #parts);)*
            }

            fn write_own_key(&self, out: &mut #private::KeyWriter) { #(out.attribute(#attributes, #own);)* }

            fn write_id(id: &Self::Id, out: &mut #private::RowWriter) {
                #(#private::RowId::write_row(#parts, out);)*
            }

            fn write_own_id(&self, out: &mut #private::RowWriter) {
                #(#private::RowId::write_row(#own, out);)*
            }
        },
    )
}

/// What stands in for it beside errors.
pub(super) fn fallback(model: &Model<'_>) -> TokenStream {
    if key(model).is_none() {
        return TokenStream::new();
    }
    let private = model.private();
    wrap(
        model,
        [],
        &quote! {
            fn write_key(_: &Self::Id, _: &mut #private::KeyWriter) {}
            fn write_own_key(&self, _: &mut #private::KeyWriter) {}
            fn write_id(_: &Self::Id, _: &mut #private::RowWriter) {}
            fn write_own_id(&self, _: &mut #private::RowWriter) {}
        },
    )
}

/// The fields of the key: a partition key, and perhaps a sort key.
fn key<'a, 'm>(model: &'m Model<'a>) -> Option<Vec<&'m Field<'a>>> {
    let ids: Vec<_> = model.ids().collect();
    let is_key = match ids.as_slice() {
        [_] => true,
        [partition, sort] => partition.attrs.keys.has("partition_key") && sort.attrs.keys.has("sort_key"),
        _ => false,
    };
    let is_known = ids.iter().all(|field| types::option_argument(field.ty).is_none());
    (is_key && is_known).then_some(ids)
}

fn wrap(
    model: &Model<'_>,
    predicates: impl IntoIterator<Item = WherePredicate>,
    body: &TokenStream,
) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let ids: Vec<&Type> = model.ids().map(|field| field.ty).collect();
    let id = match ids.as_slice() {
        [one] => quote!(#one),
        many => quote!((#(#many),*)),
    };
    let generics = with(model, predicates);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    let (_, ty_generics, _) = model.generics.split_for_impl();
    quote! {
        #private::if_dynamo! {
            #[automatically_derived]
            impl #impl_generics #private::DynamoModel for #ident #ty_generics #where_clause {
                type Id = #id;
                #body
            }
        }
    }
}

/// Lazy, so that a model of a SQL table, whose id serde need not know, compiles with the adapter too.
fn predicates(model: &Model<'_>, ids: &[&Field<'_>]) -> Vec<WherePredicate> {
    let private = model.private();
    let mut predicates = model_predicates(model);
    for field in ids {
        predicates.push(lazy_bound(field.ty, &quote!(#private::serde::Serialize)));
        predicates.push(lazy_bound(field.ty, &quote!(#private::RowId)));
        if model.is_generic(field.ty) {
            predicates.push(bound(field.ty, &quote!(::core::marker::Send + ::core::marker::Sync)));
        }
    }
    predicates
}

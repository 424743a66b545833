//! `sqlx::FromRow`, on request, and the same with a prefix before the columns' names.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Generics, Type, WherePredicate, parse_quote};

use super::generics::{bound, lazy_bound, with};
use crate::{
    ast::{Field, Kind, Model, Shape},
    types,
};

pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    wrap(model, predicates(model), &body(model))
}

/// The same for a nested struct, which may stand in columns of its own.
pub(super) fn nested(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let body = body(model);
    // what a struct in JSON, or of another database, need not have
    let lazy = model.fields.iter().filter_map(|field| match field.kind {
        Kind::Skipped => Some(lazy_bound(field.ty, &quote!(::core::default::Default))),
        Kind::Sealed(Shape::Json) => {
            Some(lazy_bound(field.ty, &quote!(#private::serde::de::DeserializeOwned)))
        }
        _ => None,
    });
    wrap_nested(model, predicates(model).into_iter().chain(lazy), &body)
}

/// What stands beside errors for a nested struct.
pub(super) fn nested_fallback(model: &Model<'_>) -> TokenStream {
    wrap_nested(model, [], &quote!(::core::unreachable!()))
}

fn wrap_nested(
    model: &Model<'_>,
    predicates: impl IntoIterator<Item = WherePredicate>,
    body: &TokenStream,
) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (_, ty_generics, _) = model.generics.split_for_impl();
    let generics = with_row(model, predicates);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #private::if_sqlx! {
            #[automatically_derived]
            impl #impl_generics #private::FromNested<'__r, __R> for #ident #ty_generics #where_clause {
                fn from_nested(row: &'__r __R, prefix: &str) -> ::core::result::Result<Self, #private::sqlx::Error> {
                    #body
                }
            }
        }
    }
}

/// Reads every field from `row`, whose columns begin with `prefix`.
fn body(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let has_nested = model.columns().any(|field| field.kind == Kind::Sealed(Shape::Columns));
    // how many columns a nested struct has is not known here
    let names = model.columns().filter(|_| !has_nested).map(|field| &field.column);
    let mut place = 0_usize;
    let fields = model.fields.iter().map(|field| {
        let (ident, ty, column) = (field.ident, field.ty, &field.column);
        let at = place;
        if field.kind != Kind::Skipped {
            place += 1;
        }
        match field.kind {
            Kind::Skipped => quote!(#ident: ::core::default::Default::default()),
            Kind::Sealed(Shape::Columns) => {
                let own = field.prefix();
                quote! {
                    #ident: <#ty as #private::FromNested<'__r, __R>>::from_nested(
                        row,
                        &#private::prefixed(prefix, #own),
                    )?
                }
            }
            Kind::Sealed(Shape::Json) => quote! {
                #ident: {
                    let text: ::core::option::Option<::std::string::String> =
                        #private::RowColumns::value(&columns, #at, #column)?;
                    // a missing `Option` is JSON's null
                    #private::from_json::<#ty>(::core::option::Option::as_deref(&text).unwrap_or("null")).map_err(|error| {
                        #private::sqlx::Error::ColumnDecode {
                            index: #private::prefixed(prefix, #column).into_owned(),
                            source: ::std::boxed::Box::new(error),
                        }
                    })?
                }
            },
            _ if is_never_null(field) => quote!(#ident: #private::RowColumns::value_not_null::<#ty>(&columns, #at, #column)?),
            _ => quote!(#ident: #private::RowColumns::value::<#ty>(&columns, #at, #column)?),
        }
    });
    let fields: Vec<_> = fields.collect();
    let columns = model
        .columns()
        .any(|field| field.kind != Kind::Sealed(Shape::Columns))
        .then(|| quote!(let columns = #private::RowColumns::new(row, prefix, &[#(#names),*]);));
    quote! {
        #columns
        ::core::result::Result::Ok(Self { #(#fields),* })
    }
}

/// The implementation around a body, which the fallback has too.
pub(super) fn wrap(
    model: &Model<'_>,
    predicates: impl IntoIterator<Item = WherePredicate>,
    body: &TokenStream,
) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (_, ty_generics, _) = model.generics.split_for_impl();
    let generics = with_row(model, predicates);
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #private::if_sqlx! {
            #[automatically_derived]
            impl #impl_generics #private::sqlx::FromRow<'__r, __R> for #ident #ty_generics #where_clause {
                fn from_row(row: &'__r __R) -> ::core::result::Result<Self, #private::sqlx::Error> {
                    <Self as #private::FromPrefixedRow<'__r, __R>>::from_prefixed_row(row, "")
                }
            }

            #[automatically_derived]
            impl #impl_generics #private::FromPrefixedRow<'__r, __R> for #ident #ty_generics #where_clause {
                fn from_prefixed_row(
                    row: &'__r __R,
                    prefix: &str,
                ) -> ::core::result::Result<Self, #private::sqlx::Error> {
                    #body
                }
            }
        }
    }
}

/// Whether NULL can't be a value of the field. A driver may read it as 0 or an empty text all the same.
fn is_never_null(field: &Field<'_>) -> bool {
    types::option_argument(field.ty).is_none()
        && (field.is_id() || types::is_scalar(field.ty) || types::is_string(field.ty))
}

/// With the row's lifetime and type.
fn with_row(model: &Model<'_>, predicates: impl IntoIterator<Item = WherePredicate>) -> Generics {
    let private = model.private();
    let mut generics = with(model, predicates);
    generics.params.insert(0, parse_quote!('__r));
    generics.params.push(parse_quote!(__R: #private::sqlx::Row));
    generics
}

fn predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    let private = model.private();
    let column = |ty: &Type| {
        [
            bound(ty, &quote!(#private::sqlx::Type<<__R as #private::sqlx::Row>::Database>)),
            bound(ty, &quote!(#private::sqlx::Decode<'__r, <__R as #private::sqlx::Row>::Database>)),
        ]
    };
    let mut predicates = vec![
        parse_quote!(for<'__q> &'__q str: #private::sqlx::ColumnIndex<__R>),
        parse_quote!(usize: #private::sqlx::ColumnIndex<__R>),
    ];
    for field in &model.fields {
        match field.kind {
            Kind::Skipped if model.is_generic(field.ty) => {
                predicates.push(bound(field.ty, &quote!(::core::default::Default)));
            }
            Kind::Skipped => {}
            Kind::Sealed(Shape::Columns) => {
                predicates.push(bound(field.ty, &quote!(#private::FromNested<'__r, __R>)));
            }
            Kind::Sealed(Shape::Json) => {
                predicates.extend(column(&parse_quote!(::core::option::Option<::std::string::String>)));
                if model.is_generic(field.ty) {
                    predicates.push(bound(field.ty, &quote!(#private::serde::de::DeserializeOwned)));
                }
            }
            _ => predicates.extend(column(field.ty)),
        }
    }
    predicates
}

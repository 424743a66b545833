//! `SqlModel`, for every database of sqlx. It stands inside `if_sqlx!`, which is empty unless the
//! library was built with a driver.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens as _, format_ident, quote, quote_spanned};
use syn::{Generics, Type, WherePredicate, parse_quote};

use super::{
    fields,
    generics::{bound, id_type, lazy_bound, model_predicates, with},
};
use crate::{
    ast::{Field, Kind, Model, Shape},
    types,
};

pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ids: Vec<_> = model.ids().collect();
    let (constants, columns) = columns(model);
    let binds = binds(model);
    let bind_own_id = ids.iter().map(|field| {
        let (ident, ty) = (field.ident, id_type(field));
        let method = format_ident!("{}", if is_generated(field) { "bind_optional_id" } else { "bind" });
        quote!(out.#method::<#ty>(&self.#ident);)
    });
    let write_own_id = ids.iter().map(|field| {
        let ident = field.ident;
        if is_generated(field) {
            quote! {
                if let ::core::option::Option::Some(id) = &self.#ident { #private::RowId::write_row(id, out); }
            }
        } else {
            quote!(#private::RowId::write_row(&self.#ident, out);)
        }
    });
    let column_types = column_types(model, &quote!(false));
    let parts = id_parts(&ids);
    let read_id = model.attrs.wants_from_row().then(|| read_id(model, &ids));
    let types = ids.iter().map(|field| id_type(field));
    let operands = fields::operands(model);
    let body = quote! {
        const COLUMNS: &'static [#private::SqlColumn] = #columns;

        fn bind_columns(&self, out: &mut #private::Binder<'_, __DB>) { #binds }

        fn bind_id(id: &Self::Id, out: &mut #private::Binder<'_, __DB>) { #(out.bind::<#types>(#parts);)* }

        fn bind_own_id(&self, out: &mut #private::Binder<'_, __DB>) { #(#bind_own_id)* }

        fn write_id(id: &Self::Id, out: &mut #private::RowWriter) { #(#private::RowId::write_row(#parts, out);)* }

        fn write_own_id(&self, out: &mut #private::RowWriter) { #(#write_own_id)* }

        #read_id

        fn column_types(out: &mut #private::ColumnTypes<__DB>) { #column_types }

        #operands
    };
    let implementation = wrap(model, predicates(model).into_iter().chain(read_predicates(model)), &body);
    quote!(#constants #implementation)
}

/// The id of a row whose other columns may not be readable.
fn read_id(model: &Model<'_>, ids: &[&Field<'_>]) -> TokenStream {
    let private = model.private();
    let parts = ids.iter().map(|field| {
        let (ty, column) = (id_type(field), &field.column);
        quote!(#private::read_id_part::<#ty, __DB>(row, #column))
    });
    let parts: Vec<_> = parts.collect();
    let read = match parts.as_slice() {
        [one] => one.clone(),
        many => quote!((|| ::core::result::Result::Ok((#(#many?),*)))()),
    };
    quote! {
        fn read_id(
            row: &<__DB as #private::sqlx::Database>::Row,
        ) -> ::core::option::Option<#private::sqlx::Result<Self::Id>> {
            ::core::option::Option::Some(#read)
        }
    }
}

/// What [`read_id`] needs, as `FromRow` does.
fn read_predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    if !model.attrs.wants_from_row() || model.ids().next().is_none() {
        return Vec::new();
    }
    let private = model.private();
    let ids = model.ids().map(id_type);
    let mut predicates: Vec<WherePredicate> =
        ids.map(|id| lazy_bound(id, &quote!(#private::sqlx::Decode<'__q, __DB>))).collect();
    predicates.push(parse_quote!(
        for<'__q> &'__q str: #private::sqlx::ColumnIndex<<__DB as #private::sqlx::Database>::Row>
    ));
    predicates
}

/// What stands beside errors for a nested struct: it has no columns.
pub(super) fn nested_fallback(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (impl_generics, ty_generics, where_clause) = model.generics.split_for_impl();
    let mut generics = model.generics.clone();
    generics.params.push(parse_quote!(__DB: #private::sqlx::Database));
    let (bind_generics, ..) = generics.split_for_impl();
    quote! {
        #private::if_sqlx! {
            #[automatically_derived]
            impl #impl_generics #private::NestedColumns for #ident #ty_generics #where_clause {
                const COLUMNS: &'static [#private::SqlColumn] = &[];
            }

            #[automatically_derived]
            impl #bind_generics #private::BindNested<__DB> for #ident #ty_generics #where_clause {
                fn bind_nested(&self, _: &mut #private::Binder<'_, __DB>) {}
                fn bind_nulls(_: &mut #private::Binder<'_, __DB>) {}
                fn nested_types(_: bool, _: &mut #private::ColumnTypes<__DB>) {}
            }
        }
    }
}

/// The columns of a nested struct, for models that give it a prefix.
pub(super) fn nested(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let (constants, columns) = columns(model);
    let binds = binds(model);
    let nulls = model.columns().map(|field| {
        let ty = field.ty;
        match field.kind {
            Kind::Sealed(Shape::Columns) => {
                quote!(<#ty as #private::BindNested<__DB>>::bind_nulls(out);)
            }
            Kind::Sealed(_) => quote!(out.sealed_null();),
            _ => quote!(out.null::<#ty>();),
        }
    });
    let column_types = column_types(model, &quote!(is_optional));
    let optional = model.columns().filter(|field| !field.is_sealed()).flat_map(|field| {
        let ty = field.ty;
        let ty: Type = parse_quote!(::core::option::Option<#ty>);
        [
            lazy_bound(&ty, &quote!(#private::sqlx::Encode<'__q, __DB>)),
            bound(&ty, &quote!(#private::sqlx::Type<__DB>)),
        ]
    });
    let (impl_generics, ty_generics, where_clause) = model.generics.split_for_impl();
    let mut generics: Generics = with(model, predicates(model).into_iter().chain(optional));
    generics.params.push(parse_quote!(__DB: #private::sqlx::Database));
    let (bind_generics, _, bind_where) = generics.split_for_impl();
    quote! {
        #constants

        #private::if_sqlx! {
            #[automatically_derived]
            impl #impl_generics #private::NestedColumns for #ident #ty_generics #where_clause {
                const COLUMNS: &'static [#private::SqlColumn] = #columns;
            }

            #[automatically_derived]
            impl #bind_generics #private::BindNested<__DB> for #ident #ty_generics #bind_where {
                fn bind_nested(&self, out: &mut #private::Binder<'_, __DB>) { #binds }

                fn bind_nulls(out: &mut #private::Binder<'_, __DB>) { #(#nulls)* }

                fn nested_types(is_optional: bool, out: &mut #private::ColumnTypes<__DB>) { #column_types }
            }
        }
    }
}

/// The list of columns, and constants that it needs where a nested struct has columns of its own.
fn columns(model: &Model<'_>) -> (Option<TokenStream>, TokenStream) {
    let private = model.private();
    let column = |field: &Field<'_>| {
        let (column, kind) = (&field.column, Ident::new(column_kind(field), field.ident.span()));
        quote!(#private::SqlColumn::new(#column, #private::ColumnKind::#kind))
    };
    if !model.columns().any(has_columns) {
        let columns = model.columns().map(column);
        return (None, quote!(&[#(#columns),*]));
    }
    let mut constants = TokenStream::new();
    let (mut parts, mut count) = (Vec::new(), Vec::new());
    for (index, field) in model.columns().enumerate() {
        if !has_columns(field) {
            let column = column(field);
            parts.push(quote!(&[#column]));
            count.push(quote!(1));
            continue;
        }
        let names = format_ident!("__PII_NAMES_{index}");
        let columns = format_ident!("__PII_COLUMNS_{index}");
        let (ty, prefix) = (field.ty, field.prefix());
        let own = quote!(<#ty as #private::NestedColumns>::COLUMNS);
        constants.extend(quote! {
            const #names: &[u8; #private::prefixed_length(#prefix, #own)] = &#private::prefixed_names(#prefix, #own);
            const #columns: &[#private::SqlColumn; <[_]>::len(#own)] = &#private::prefixed_columns(#prefix, #own, #names);
        });
        parts.push(quote!(#columns));
        count.push(quote!(<[_]>::len(#columns)));
    }
    let prefix = model.columns().find_map(|field| field.attrs.prefix.as_ref());
    let place = prefix.map_or_else(|| model.ident.span(), |prefix| prefix.value.span());
    let clash = quote_spanned! {place=>
        ::core::panic!("a column of a nested struct has the name of another column: choose another `prefix`")
    };
    let constants = quote! {
        #private::if_sqlx! {
            const _: () = if !#private::names_differ(__PII_COLUMNS) { #clash };
            #constants
            const __PII_COLUMNS: &[#private::SqlColumn; 0 #(+ #count)*] = &#private::all_columns(&[#(#parts),*]);
        }
    };
    (Some(constants), quote!(__PII_COLUMNS))
}

/// The calls that bind every column of `self` to `out`.
fn binds(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let binds = model.columns().map(|field| {
        let (start, _) = types::ends(field.ty);
        let ident = field.ident;
        // spelt out, because the bounds on one column's type must not decide another's
        let ty = if is_generated(field) { id_type(field) } else { field.ty };
        if has_columns(field) {
            return quote!(<#ty as #private::BindNested<__DB>>::bind_nested(&self.#ident, out););
        }
        let method = Ident::new(bind_method(field), start);
        quote_spanned!(start=> out.#method::<#ty>(&self.#ident);)
    });
    quote!(#(#binds)*)
}

/// The calls that tell `out` the type of every column. `is_optional` is whether all of them may be NULL.
fn column_types(model: &Model<'_>, is_optional: &TokenStream) -> TokenStream {
    let private = model.private();
    let types = model.columns().map(|field| {
        let (start, _) = types::ends(field.ty);
        let ty = match field.kind {
            Kind::Sealed(Shape::Columns) => {
                let ty = field.ty;
                return quote!(<#ty as #private::BindNested<__DB>>::nested_types(#is_optional, out););
            }
            Kind::Sealed(_) => quote!(::std::string::String),
            _ if field.is_id() => id_type(field).to_token_stream(),
            _ => field.ty.to_token_stream(),
        };
        let is_optional = match types::option_argument(field.ty) {
            Some(_) => quote!(true),
            None => is_optional.clone(),
        };
        quote_spanned!(start=> out.column::<#ty>(#is_optional);)
    });
    quote!(#(#types)*)
}

/// Whether the field is a nested struct in columns of its own.
fn has_columns(field: &Field<'_>) -> bool {
    field.kind == Kind::Sealed(Shape::Columns)
}

/// The implementation around a body, which the fallback has too.
pub(super) fn wrap(
    model: &Model<'_>,
    predicates: impl IntoIterator<Item = WherePredicate>,
    body: &TokenStream,
) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let ids: Vec<&Type> = model.ids().map(id_type).collect();
    let id = match ids.as_slice() {
        [one] => quote!(#one),
        many => quote!((#(#many),*)),
    };
    let (_, ty_generics, _) = model.generics.split_for_impl();
    let mut generics: Generics = with(model, predicates);
    generics.params.push(parse_quote!(__DB: #private::sqlx::Database));
    let (impl_generics, _, where_clause) = generics.split_for_impl();
    quote! {
        #private::if_sqlx! {
            #[automatically_derived]
            impl #impl_generics #private::SqlModel<__DB> for #ident #ty_generics #where_clause {
                type Id = #id;
                #body
            }
        }
    }
}

/// None of these is a bound without parameters, so that a model with a type that no database knows
/// still compiles; only its tables do not.
fn predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    let private = model.private();
    let text: Type = parse_quote!(::std::string::String);
    let column = |ty: &Type| {
        [
            bound(ty, &quote!(#private::sqlx::Type<__DB>)),
            lazy_bound(ty, &quote!(#private::sqlx::Encode<'__q, __DB>)),
        ]
    };
    let mut predicates: Vec<WherePredicate> = model_predicates(model);
    predicates.extend(column(&text));
    for field in model.columns() {
        match field.kind {
            Kind::Sealed(Shape::Columns) => {
                predicates.push(lazy_bound(field.ty, &quote!(#private::BindNested<__DB>)));
            }
            Kind::Sealed(shape) => {
                predicates.push(lazy_bound(field.ty, &quote!(#private::PiiField)));
                if shape == Shape::Json {
                    predicates.push(lazy_bound(field.ty, &quote!(#private::serde::Serialize)));
                }
            }
            _ => {
                predicates.extend(column(field.ty));
                if model.generics.params.is_empty() {
                    predicates.extend(column(fields::operand_type(field)));
                }
            }
        }
        if field.is_id() {
            let id = id_type(field);
            predicates.extend(column(id));
            predicates.push(lazy_bound(id, &quote!(#private::RowId)));
            if model.is_generic(id) {
                predicates.push(bound(id, &quote!(::core::marker::Send + ::core::marker::Sync)));
            }
        }
    }
    predicates
}

/// References to the parts of `id`, which is a tuple where there are several.
fn id_parts(ids: &[&Field<'_>]) -> Vec<TokenStream> {
    if ids.len() == 1 {
        return vec![quote!(id)];
    }
    (0..ids.len()).map(syn::Index::from).map(|index| quote!(&id.#index)).collect()
}

fn is_generated(field: &Field<'_>) -> bool {
    field.is_id() && types::option_argument(field.ty).is_some()
}

fn column_kind(field: &Field<'_>) -> &'static str {
    match field.kind {
        Kind::Sealed(Shape::Text) => "Sealed",
        Kind::Sealed(Shape::Json) => "SealedJson",
        _ if is_generated(field) => "GeneratedId",
        _ if field.is_id() => "Id",
        _ if field.is_version() => "Version",
        _ => "Plain",
    }
}

fn bind_method(field: &Field<'_>) -> &'static str {
    match column_kind(field) {
        "Sealed" => "sealed",
        "SealedJson" => "sealed_json",
        "GeneratedId" => "generated_id",
        "Version" => "version",
        _ => "bind",
    }
}

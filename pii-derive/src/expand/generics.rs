//! Bounds that a generic struct needs, and lifetimes and parameters of our own.

use quote::{ToTokens, quote, quote_spanned};
use syn::{Generics, Type, WherePredicate, parse_quote};

use crate::{
    ast::{Field, Kind, Model},
    types,
};

/// The struct's generics with further predicates.
pub(super) fn with(model: &Model<'_>, predicates: impl IntoIterator<Item = WherePredicate>) -> Generics {
    let mut generics = model.generics.clone();
    let mut seen = Vec::new();
    let mut predicates = predicates
        .into_iter()
        .filter(|predicate| {
            let text = predicate.to_token_stream().to_string();
            let is_new = !seen.contains(&text);
            seen.push(text);
            is_new
        })
        .peekable();
    if predicates.peek().is_some() {
        generics.make_where_clause().predicates.extend(predicates);
    }
    generics
}

/// What must hold for the facts of the fields to be known: bounds on those types that depend on
/// the struct's parameters, here and below.
pub(super) fn facts_predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    let private = model.private();
    let sealed = model.sealed().map(|(_, field)| field).filter(|field| model.is_generic(field.ty));
    sealed.map(|field| bound(field.ty, &quote!(#private::PiiField))).collect()
}

/// What must hold for the struct to be a model.
pub(super) fn model_predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    let private = model.private();
    let mut predicates = facts_predicates(model);
    if !model.binds_field_only() {
        let ids = model.ids().filter(|field| model.is_generic(field.ty));
        predicates.extend(ids.map(|field| bound(field.ty, &quote!(#private::RowId))));
    }
    predicates
}

/// What must hold for the struct to be printed.
pub(super) fn debug_predicates(model: &Model<'_>) -> Vec<WherePredicate> {
    let mut predicates = facts_predicates(model);
    let shown = model.columns().filter(|field| field.kind == Kind::Plain && !field.is_in_context());
    let shown = shown.filter(|field| model.is_generic(field.ty));
    predicates.extend(shown.map(|field| bound(field.ty, &quote!(::core::fmt::Debug))));
    predicates
}

/// `T: Bound`, with errors at the type.
pub(super) fn bound(ty: impl ToTokens, bound: &impl ToTokens) -> WherePredicate {
    let (span, _) = types::ends(&ty);
    syn::parse2(quote_spanned!(span=> #ty: #bound)).unwrap_or_else(|_| parse_quote!(#ty: #bound))
}

/// `for<'__q> T: Bound`. The lifetime makes rustc accept a bound that does not hold: the
/// implementation is there for those who can use it, and no error for others.
pub(super) fn lazy_bound(ty: &Type, bound: &impl ToTokens) -> WherePredicate {
    let (span, _) = types::ends(ty);
    syn::parse2(quote_spanned!(span=> for<'__q> #ty: #bound))
        .unwrap_or_else(|_| parse_quote!(for<'__q> #ty: #bound))
}

/// The type of an id, without the `Option` of one that the database makes up.
pub(super) fn id_type<'a>(field: &Field<'a>) -> &'a Type {
    types::option_argument(field.ty).unwrap_or(field.ty)
}

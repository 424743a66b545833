//! The code that is generated: tables of facts and visitors. Behaviour lives in the library.
//!
//! Everything stands in one `const _: () = { ... };`, names everything by its full path, and needs
//! nothing imported.

mod debug;
mod dynamo;
mod enums;
mod fallback;
mod fields;
mod from_row;
mod generics;
mod index;
mod model;
mod nested;
mod newtype;
mod probe;
mod sql;
mod view;

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

use crate::{ast::Model, check, ctxt::Ctxt};

pub(crate) use enums::pii_enum;
pub(crate) use newtype::{ContextValue, RowId, newtype};

pub(crate) fn derive_model(input: &DeriveInput) -> TokenStream {
    let cx = Ctxt::default();
    let model = Model::parse(&cx, input);
    check::model(&cx, &model);
    match cx.finish() {
        None => in_const(&implementations(&model)),
        Some(errors) => {
            let (errors, fallback) =
                (errors.into_compile_error(), in_const(&fallback::implementations(&model)));
            quote!(#errors #fallback)
        }
    }
}

fn implementations(model: &Model<'_>) -> TokenStream {
    let facts = model::facts(model);
    let probes = probe::probes(model);
    let debug = debug::implementation(model);
    if model.attrs.is_nested() {
        let field = nested::implementation(model);
        let (sql, from_row) = (sql::nested(model), from_row::nested(model));
        return quote!(#facts #probes #debug #field #sql #from_row);
    }
    let checks = view::checks(model);
    let implementation = model::implementation(model);
    let sql = sql::implementation(model);
    let fields = fields::implementation(model);
    let from_row = model.attrs.wants_from_row().then(|| from_row::implementation(model));
    let dynamo = dynamo::implementation(model);
    let searches = index::searches(model);
    quote!(#facts #probes #debug #checks #implementation #fields #sql #from_row #dynamo #searches)
}

fn in_const(items: &TokenStream) -> TokenStream {
    quote! {
        #[doc(hidden)]
        #[allow(
            deprecated,
            single_use_lifetimes,
            unused_lifetimes,
            unused_parens,
            unused_qualifications,
            unused_variables,
            clippy::absolute_paths,
            clippy::extra_unused_lifetimes,
            clippy::trait_duplication_in_bounds,
            clippy::type_repetition_in_bounds
        )]
        const _: () = { #items };
    }
}

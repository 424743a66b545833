//! `view_of`: a smaller struct over the same table, held against its model at compile time.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};

use super::model::{binding, context_parts};
use crate::{
    ast::{Field, Model},
    attr, types,
};

/// The specification, with the names of the other model.
pub(super) fn model_spec(model: &Model<'_>) -> Option<TokenStream> {
    let other = &model.attrs.view_of.as_ref()?.value;
    let private = model.private();
    let context = context_parts(model);
    Some(quote! {
        #private::view_model(<#other as #private::PiiModel>::MODEL, <Self as __PiiFacts>::FIELDS, #context)
    })
}

/// One constant per fact that must hold, each with its own message at its own place.
pub(super) fn checks(model: &Model<'_>) -> TokenStream {
    let Some(other) = model.attrs.view_of.as_ref().map(|view_of| &view_of.value) else {
        return TokenStream::new();
    };
    let private = model.private();
    let ident = model.ident;
    let shown = attr::display(other);
    let (start, _) = types::ends(other);
    let spec = quote_spanned!(start=> <#other as #private::PiiModel>::MODEL);
    let fields =
        model.columns().enumerate().map(|(index, field)| check_field(model, &shown, &spec, index, field));
    let (context, binding) = (context_parts(model), binding(model));
    let ids = failure(
        start,
        &format!(
            "the ids of this view are not those of `{shown}`: give it the same `#[pii(id)]` fields, in the same order"
        ),
    );
    let bindings = failure(
        start,
        &format!("this view binds its values otherwise than `{shown}`: write the same `bind`"),
    );
    let context_place = model.attrs.context.as_ref().map_or(start, |context| context.key.span());
    let contexts = failure(
        context_place,
        &format!(
            "the encryption context of this view is not that of `{shown}`: write the same names, with the same text where it is a literal, and the same `subject`"
        ),
    );
    quote! {
        const _: () = if !#private::same_ids(#spec, <#ident as __PiiFacts>::FIELDS) { #ids };
        const _: () = if !#private::same_binding(#spec, #binding) { #bindings };
        const _: () = if !#private::same_context(#spec, #context) { #contexts };
        #(#fields)*
    }
}

fn check_field(
    model: &Model<'_>,
    other: &str,
    spec: &TokenStream,
    index: usize,
    field: &Field<'_>,
) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let name = &field.name;
    let span = field.ident.span();
    let arms = [
        (
            "Missing",
            format!(
                "`{other}` has no field with the stable name `{name}`; use one of its names, or `#[pii(skip)]`"
            ),
        ),
        ("IsSealed", format!("`{other}` stores `{name}` sealed: give it the same type here")),
        ("IsPlain", format!("`{other}` stores `{name}` plain: give it the same type here")),
        ("OtherType", format!("`{name}` has another type in `{other}`: give it the same type here")),
        ("OtherLevel", format!("`{name}` has another level in `{other}`: write the same `level`")),
        (
            "OtherRules",
            format!(
                "`{name}` has another `column` than in `{other}`, or a `mode` or `plaintext` policy that allows more: \
                 write what `{other}` says"
            ),
        ),
        ("OtherKeyring", format!("`{name}` has another keyring in `{other}`: write the same `keyring`")),
        ("OtherWas", format!("`{name}` has other earlier names in `{other}`: write the same `was`")),
        (
            "OtherPadding",
            format!("`{name}` has another `pad` in `{other}`: write the same, and the same `was_unpadded`"),
        ),
        ("OtherLegacy", format!("`{name}` has another `legacy` in `{other}`: write the same `legacy`")),
        (
            "OtherContext",
            format!("`{name}` is part of the encryption context in only one of this view and `{other}`"),
        ),
    ];
    let arms = arms.iter().map(|(variant, message)| {
        let variant = quote::format_ident!("{variant}");
        let failure = failure(span, message);
        quote!(#private::ViewFit::#variant => #failure,)
    });
    quote! {
        const _: () = match #private::fit(#spec, &<#ident as __PiiFacts>::FIELDS[#index]) {
            #private::ViewFit::Fits => (),
            #(#arms)*
        };
    }
}

fn failure(span: Span, message: &str) -> TokenStream {
    quote_spanned!(span=> ::core::panic!("{}", #message))
}

//! What can be told of a type by its tokens alone.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{GenericArgument, Generics, Ident, PathArguments, Type};

const SEALED: &[&str] = &["Encrypted", "EncryptedStr"];
const COLLECTIONS: &[&str] = &["Vec", "HashMap", "BTreeMap"];

/// Whether the type names one of the sealed types anywhere.
pub(crate) fn mentions_sealed(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), &|ident| SEALED.iter().any(|name| ident == name))
}

/// Whether the type depends on a type or const parameter.
pub(crate) fn mentions_parameter(ty: &Type, generics: &Generics) -> bool {
    mentions(ty.to_token_stream(), &|ident| {
        generics.type_params().any(|param| *ident == param.ident)
            || generics.const_params().any(|param| *ident == param.ident)
    })
}

/// Whether the type names the struct it stands in as `Self`.
pub(crate) fn mentions_self(ty: &Type) -> bool {
    mentions(ty.to_token_stream(), &|ident| ident == "Self")
}

/// Whether the type is a list or map, or an `Option` or `Box` of one.
pub(crate) fn is_collection(ty: &Type) -> bool {
    match argument_of(ty, &["Option", "Box"]) {
        Some(inner) => is_collection(inner),
        None => last_ident(ty).is_some_and(|ident| COLLECTIONS.iter().any(|name| ident == name)),
    }
}

/// The `T` of an `Option<T>`.
pub(crate) fn option_argument(ty: &Type) -> Option<&Type> {
    argument_of(ty, &["Option"])
}

/// Whether the type is one of the language's own that holds no text.
pub(crate) fn is_scalar(ty: &Type) -> bool {
    const SCALARS: &[&str] = &[
        "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64",
        "u128", "usize",
    ];
    let ty = option_argument(ty).unwrap_or(ty);
    matches!(ty, Type::Path(ty) if ty.path.get_ident().is_some_and(|ident| SCALARS.iter().any(|name| ident == name)))
}

/// Whether the type is the standard library's text.
pub(crate) fn is_string(ty: &Type) -> bool {
    last_ident(ty).is_some_and(|ident| ident == "String")
}

/// Whether the type is known not to be an integer.
pub(crate) fn is_no_integer(ty: &Type) -> bool {
    const OTHERS: &[&str] = &["Option", "String", "str", "bool", "char", "f32", "f64"];
    match unwrapped(ty) {
        Type::Path(_) => last_ident(ty).is_some_and(|ident| OTHERS.iter().any(|name| ident == name)),
        _ => true,
    }
}

/// The first and the last token: generated code that spans both makes errors point at the whole type.
pub(crate) fn ends(tokens: impl ToTokens) -> (Span, Span) {
    let mut spans = tokens.into_token_stream().into_iter().map(|token| token.span());
    let first = spans.next().unwrap_or_else(Span::call_site);
    (first, spans.last().unwrap_or(first))
}

fn mentions(tokens: TokenStream, wanted: &impl Fn(&Ident) -> bool) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => wanted(&ident),
        TokenTree::Group(group) => mentions(group.stream(), wanted),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}

fn argument_of<'a>(ty: &'a Type, wrappers: &[&str]) -> Option<&'a Type> {
    let Type::Path(path) = unwrapped(ty) else { return None };
    let last = path.path.segments.last().filter(|last| wrappers.iter().any(|name| last.ident == name))?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else { return None };
    arguments.args.iter().find_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    })
}

fn last_ident(ty: &Type) -> Option<&Ident> {
    match unwrapped(ty) {
        Type::Path(path) => path.path.segments.last().map(|last| &last.ident),
        _ => None,
    }
}

/// Without parentheses and the invisible groups of `macro_rules!`.
fn unwrapped(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => unwrapped(&group.elem),
        Type::Paren(paren) => unwrapped(&paren.elem),
        _ => ty,
    }
}

#[cfg(test)]
mod tests {
    use syn::parse_quote;

    use super::*;

    #[test]
    fn sealed_types_are_found_anywhere_in_a_type() {
        assert!(mentions_sealed(&parse_quote!(std::collections::HashMap<String, Option<pii::EncryptedStr>>)));
        assert!(mentions_sealed(&parse_quote!((u8, [Encrypted<Json<Address>>; 2]))));
        assert!(!mentions_sealed(&parse_quote!(Option<Email>)));
    }

    #[test]
    fn collections_are_seen_through_option_and_box() {
        assert!(is_collection(&parse_quote!(Option<Box<Vec<EncryptedStr>>>)));
        assert!(is_collection(&parse_quote!(std::collections::BTreeMap<String, EncryptedStr>)));
        assert!(!is_collection(&parse_quote!(Encrypted<Json<Vec<String>>>)));
    }
}

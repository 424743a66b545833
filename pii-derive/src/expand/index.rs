//! Blind indexes: their facts, and a search for each of them.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, TokenStream, TokenTree};
use quote::{ToTokens, quote, quote_spanned};
use syn::Expr;

use crate::{
    ast::{Field, Index, IndexedPart, Model},
    attr::{ContextPair, Normalize, SUBJECT},
    types,
};

/// `.with_indexes(...)` of the model's specification.
pub(super) fn specs(model: &Model<'_>) -> Option<TokenStream> {
    let private = model.private();
    let indexes = model.indexes();
    if indexes.is_empty() {
        return None;
    }
    let specs = indexes.iter().map(|index| {
        let name = &index.name;
        let parts = index.parts.iter().map(|part| {
            let name = &part.field.name;
            let normalizers =
                part.normalize.iter().flat_map(|given| &given.value).map(|one| normalizer(&private, one));
            quote!(#private::IndexPart { field: #name, normalizers: &[#(#normalizers),*] })
        });
        let versions = index.versions().into_iter().map(|version| {
            let (number, column, attribute) = (version.number, version.column, version.attribute);
            quote!(#private::IndexVersion { number: #number, column: #column, attribute: #attribute })
        });
        let bits = index.attrs.bits.as_ref().map(|bits| {
            let bits = bits.value.number;
            quote!(.with_size(#private::IndexSize::Bits(#bits)))
        });
        let unique = index.attrs.unique.is_some().then(|| quote!(.as_unique()));
        let scope = index.is_global().then(|| quote!(.with_scope(#private::IndexScope::Global)));
        quote!(#private::IndexSpec::new(#name, &[#(#parts),*], &[#(#versions),*]) #bits #unique #scope)
    });
    Some(quote!(.with_indexes(&[#(#specs),*])))
}

/// `Customer::by_email(tenant, email)`, for each index.
pub(super) fn searches(model: &Model<'_>) -> Option<TokenStream> {
    let indexes = model.indexes();
    if indexes.is_empty() {
        return None;
    }
    let ident = model.ident;
    let (impl_generics, ty_generics, where_clause) = model.generics.split_for_impl();
    let searches = indexes.iter().map(|index| search(model, index));
    let checks = checks(model, &indexes);
    Some(quote! {
        #[automatically_derived]
        impl #impl_generics #ident #ty_generics #where_clause { #(#searches)* }

        #(#checks)*
    })
}

fn search(model: &Model<'_>, index: &Index<'_>) -> TokenStream {
    let private = model.private();
    let (name, visibility) = (&index.name, model.vis);
    let function = index.finder();
    let pairs: Vec<&ContextPair> = if index.is_global() {
        Vec::new()
    } else {
        model.attrs.context_pairs().iter().filter(|pair| pair.name.text != SUBJECT).collect()
    };
    let used = |field: &&Field<'_>| pairs.iter().any(|pair| model.uses(&pair.value).contains(field.ident));
    let of_context = model.columns().filter(used).map(|field| {
        let (ident, ty) = (field.ident, context_type(field));
        quote!(#ident: #ty)
    });
    let contexts = pairs.iter().map(|pair| {
        let (name, value) = (&pair.name.text, without_self(model, &pair.value));
        quote!(.context(#name, &(#value)))
    });
    let terms = index.parts.iter().map(|IndexedPart { field, .. }| {
        let (ident, ty) = (field.ident, field.ty);
        let (start, _) = types::ends(ty);
        let private = model.private_at(start);
        quote_spanned!(start=> #ident: &#private::IndexTermOf<#ty>)
    });
    let given = index.parts.iter().map(|IndexedPart { field, .. }| {
        let (ident, ty) = (field.ident, field.ty);
        let (start, _) = types::ends(ty);
        quote_spanned!(start=> .term::<#ty>(#ident))
    });
    let fields: Vec<String> = index.parts.iter().map(|part| format!("`{}`", part.field.ident)).collect();
    let doc = format!(
        "The rows with this {}, by the blind index `{name}`: for a table's `find`. Takes the fields of the encryption \
         context first, if the index is one of a context.",
        fields.join(" and ")
    );
    quote! {
        #[doc = #doc]
        #[must_use]
        #visibility fn #function(#(#of_context,)* #(#terms),*) -> #private::IndexSearch<Self> {
            #private::IndexSearch::by(#name) #(#contexts)* #(#given)*
        }
    }
}

/// How a search takes a field of the context: what is cheap to copy by value.
fn context_type(field: &Field<'_>) -> TokenStream {
    let ty = field.ty;
    if types::is_scalar(ty) && types::option_argument(ty).is_none() {
        quote!(#ty)
    } else if types::is_string(ty) {
        quote!(&::core::primitive::str)
    } else {
        quote!(&#ty)
    }
}

/// The expression over the search's arguments: `self.tenant.code()` becomes `(*tenant).code()`.
fn without_self(model: &Model<'_>, value: &Expr) -> TokenStream {
    replaced(model, value.to_token_stream())
}

fn replaced(model: &Model<'_>, tokens: TokenStream) -> TokenStream {
    let mut out = TokenStream::new();
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                let mut new = Group::new(group.delimiter(), replaced(model, group.stream()));
                new.set_span(group.span());
                out.extend([TokenTree::Group(new)]);
            }
            TokenTree::Ident(ident) if ident == "self" => {
                // the derive has refused whatever is no field
                tokens.next();
                if let Some(TokenTree::Ident(field)) = tokens.next() {
                    out.extend([argument(model, field)]);
                }
            }
            other => out.extend([other]),
        }
    }
    out
}

fn argument(model: &Model<'_>, name: Ident) -> TokenTree {
    let by_value = model
        .columns()
        .find(|field| *field.ident == name)
        .is_some_and(|field| types::is_scalar(field.ty) && types::option_argument(field.ty).is_none());
    if by_value {
        return TokenTree::Ident(name);
    }
    let star = TokenTree::Punct(Punct::new('*', Spacing::Alone));
    let inner = [star, TokenTree::Ident(name)].into_iter().collect();
    TokenTree::Group(Group::new(Delimiter::Parenthesis, inner))
}

fn normalizer(private: &TokenStream, normalize: &Normalize) -> TokenStream {
    match normalize {
        Normalize::Named(choice) => {
            let constant = Ident::new(choice.variant, choice.literal.span());
            quote!(#private::Normalizer::#constant)
        }
        Normalize::Constant(path) => path.to_token_stream(),
    }
}

/// Only text can be normalised: what is checked by the type alone.
fn checks<'a>(model: &'a Model<'_>, indexes: &'a [Index<'a>]) -> impl Iterator<Item = TokenStream> + 'a {
    let is_free =
        |part: &&IndexedPart<'_>| !model.is_generic(part.field.ty) && !types::mentions_self(part.field.ty);
    let has_lifetimes = model.generics.lifetimes().next().is_some();
    let parts = indexes.iter().flat_map(|index| &index.parts).filter(move |_| !has_lifetimes).filter(is_free);
    parts.filter_map(|part| {
        let normalize = part.normalize?;
        let ty = part.field.ty;
        let private = model.private_at(normalize.key.span());
        let call = quote_spanned!(normalize.key.span()=> #private::normalized_text);
        Some(quote!(const _: () = #call(<#ty as #private::PiiField>::HOLDS);))
    })
}

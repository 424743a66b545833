//! The facts of the fields, and `PiiModel`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::{Expr, ExprField, LitStr, Member, ext::IdentExt};

use super::{generics, index, view};
use crate::{
    ast::{Field, Kind, Model, Shape},
    attr::{ContextPair, Mask, Was},
    types,
};

/// A private trait of the generated block: where the facts of a generic struct can stand.
pub(super) fn facts(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let generics = generics::with(model, generics::facts_predicates(model));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let specs: Vec<_> = model.columns().map(|field| spec(model, field)).collect();
    let count = specs.len();
    let checks = shape_checks(model);
    quote! {
        trait __PiiFacts {
            const FIELDS: &'static [#private::FieldSpec; #count];
        }

        #[automatically_derived]
        impl #impl_generics __PiiFacts for #ident #ty_generics #where_clause {
            const FIELDS: &'static [#private::FieldSpec; #count] = &[#(#specs),*];
        }

        #checks
    }
}

pub(super) fn implementation(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let ident = model.ident;
    let generics = generics::with(model, generics::model_predicates(model));
    let (impl_generics, ty_generics, where_clause) = generics.split_for_impl();
    let spec = view::model_spec(model).unwrap_or_else(|| model_spec(model));
    // hygienic, because the expressions of the context are the user's
    let out = Ident::new("out", Span::mixed_site());
    let pairs = context_pairs(model).into_iter().map(|pair| {
        let (name, value) = (LitStr::new(&pair.name.text, pair.name.span), &pair.value);
        let (start, end) = types::ends(value);
        let value = quote_spanned!(end=> (#value));
        let value = quote_spanned!(start=> &#value);
        quote!(#private::ContextWriter::pair(#out, #name, #value);)
    });
    let ids = model.ids().filter(|_| !model.binds_field_only()).map(|field| {
        let call = at_type(field, &quote!(#private::RowId), "write_row");
        let field = field.ident;
        quote!(#call(&self.#field, out);)
    });
    let (visit, visit_mut) = visitors(model);
    quote! {
        #[automatically_derived]
        impl #impl_generics #private::PiiModel for #ident #ty_generics #where_clause {
            const MODEL: &'static #private::ModelSpec = &#spec;

            fn write_context(&self, #out: &mut #private::ContextWriter) { #(#pairs)* }

            fn write_row(&self, out: &mut #private::RowWriter) { #(#ids)* }

            #visit

            #visit_mut
        }
    }
}

/// The two visitors, alike for models and nested structs.
pub(super) fn visitors(model: &Model<'_>) -> (TokenStream, TokenStream) {
    let private = model.private();
    let visits = model.sealed().map(|(index, field)| {
        let call = at_type(field, &quote!(#private::PiiField), "visit");
        let ident = field.ident;
        quote! {
            walk.field(&<Self as __PiiFacts>::FIELDS[#index], |walk| #call(&self.#ident, walk));
        }
    });
    let visits_mut = model.sealed().map(|(_, field)| {
        let call = at_type(field, &quote!(#private::PiiField), "visit_mut");
        let ident = field.ident;
        quote!(#call(&mut self.#ident, walk);)
    });
    (
        quote!(fn visit<'__pii>(&'__pii self, walk: &mut #private::Walk<'__pii>) { #(#visits)* }),
        quote!(fn visit_mut<'__pii>(&'__pii mut self, walk: &mut #private::WalkMut<'__pii>) { #(#visits_mut)* }),
    )
}

/// `<Type as Trait>::function`, with errors at the type.
pub(super) fn at_type(field: &Field<'_>, of: &TokenStream, function: &str) -> TokenStream {
    let ty = field.ty;
    let (start, end) = types::ends(ty);
    let function = Ident::new(function, end);
    let path = quote_spanned!(start=> <#ty as #of>);
    quote_spanned!(end=> #path::#function)
}

/// The pairs of the context, sorted, with those values that are literals.
pub(super) fn context_parts(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let parts = context_pairs(model).into_iter().map(|pair| {
        let name = &pair.name.text;
        let literal = pair.literal().map_or_else(
            || quote!(::core::option::Option::None),
            |literal| quote!(::core::option::Option::Some(#literal)),
        );
        let (column, is_stored_text) = match field_of(model, &pair.value) {
            None => (quote!(::core::option::Option::None), quote!(false)),
            Some(field) => {
                let (ty, column) = (field.ty, field.column.as_str());
                let is_stored_text = quote!({
                    #[allow(unused_imports)]
                    use #private::NoStoredText as _;
                    #private::StoredText::<#ty>::IS
                });
                (quote!(::core::option::Option::Some(#column)), is_stored_text)
            }
        };
        quote! {
            #private::ContextPart {
                name: #name,
                literal: #literal,
                column: #column,
                is_stored_text: #is_stored_text,
            }
        }
    });
    quote!(&[#(#parts),*])
}

/// The field of `self.field`; of other expressions it is not known what they make of it.
fn field_of<'a, 'm>(model: &'a Model<'m>, value: &Expr) -> Option<&'a Field<'m>> {
    let value = match value {
        Expr::Reference(reference) => &reference.expr,
        other => other,
    };
    let Expr::Field(ExprField { base, member: Member::Named(name), .. }) = value else { return None };
    match &**base {
        Expr::Path(base) if base.path.is_ident("self") => {}
        _ => return None,
    }
    model.columns().find(|field| field.ident == name)
}

fn context_pairs<'a>(model: &'a Model<'_>) -> Vec<&'a ContextPair> {
    let mut pairs: Vec<_> = model.attrs.context_pairs().iter().collect();
    pairs.sort_by(|a, b| a.name.text.as_bytes().cmp(b.name.text.as_bytes()));
    pairs
}

pub(super) fn binding(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    if model.binds_field_only() {
        quote!(#private::RowBinding::Field)
    } else {
        quote!(#private::RowBinding::Row)
    }
}

fn model_spec(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    let name = match &model.attrs.name {
        Some(name) => name.value.value(),
        // only where nothing is sealed
        None => model.ident.unraw().to_string(),
    };
    let binding = binding(model);
    let was = was(model.attrs.was.as_ref());
    let table = model.attrs.table.as_ref().map(|table| {
        let table = &table.value;
        quote!(.with_table(#table))
    });
    let indexes = index::specs(model);
    let context = (!model.attrs.context_pairs().is_empty()).then(|| {
        let parts = context_parts(model);
        quote!(.with_context(#parts))
    });
    quote!(#private::ModelSpec::new(#name, <Self as __PiiFacts>::FIELDS, #binding) #was #table #context #indexes)
}

fn spec(model: &Model<'_>, field: &Field<'_>) -> TokenStream {
    let private = model.private();
    let (name, column, attrs) = (&field.name, &field.column, &field.attrs);
    let holds = if field.is_sealed() {
        at_type(field, &quote!(#private::PiiField), "HOLDS")
    } else {
        quote!(#private::Holds::Plain)
    };
    let mut spec = quote!(#private::FieldSpec::new(#name, #column, #holds));
    spec.extend(was(attrs.was.as_ref()));
    if let Some(prefix) = &attrs.prefix {
        let prefix = &prefix.value;
        spec.extend(quote!(.with_prefix(#prefix)));
    }
    if field.attribute != field.column {
        let attribute = &field.attribute;
        spec.extend(quote!(.with_attribute(#attribute)));
    }
    if let Some(role) = role(field) {
        let role = format_ident!("{role}");
        spec.extend(quote!(.with_role(#private::FieldRole::#role)));
    }
    if field.kind == Kind::Personal {
        spec.extend(quote!(.with_level(#private::Level::One)));
    }
    if field.is_sealed() && attrs.level.as_ref().is_some_and(|level| level.value.number == 3) {
        spec.extend(quote!(.with_level(#private::Level::Three)));
    }
    if let Some(mode) = &attrs.mode {
        let mode = format_ident!("{}", mode.value.variant);
        spec.extend(quote!(.with_mode(#private::Mode::#mode)));
    }
    if let Some(mask) = &attrs.mask {
        let mask = mask_value(&private, &mask.value);
        spec.extend(quote!(.with_mask(#mask)));
    }
    if field.is_sealed() && !field.is_nested() {
        if let Some(keyring) = attrs.keyring.as_ref().or(model.attrs.keyring.as_ref()) {
            let keyring = &keyring.value;
            spec.extend(quote!(.with_keyring(#keyring)));
        }
        if let Some(policy) = attrs.plaintext.as_ref().or(model.attrs.plaintext.as_ref()) {
            let policy = format_ident!("{}", policy.value.variant);
            spec.extend(quote!(.with_plaintext(#private::PlaintextPolicy::#policy)));
        }
        if let Some(legacy) = &attrs.legacy {
            let format = Ident::new(legacy.value.variant, legacy.value.literal.span());
            spec.extend(quote!(.with_legacy(#private::legacy::#format)));
        }
    }
    if let Some(pad) = &attrs.pad {
        let bucket = pad.value;
        spec.extend(quote!(.with_pad(#bucket)));
    } else if field.is_sealed() && !field.is_nested() {
        let pad = at_type(field, &quote!(#private::PiiField), "PAD");
        spec.extend(quote!(.with_pad_of_type(#pad)));
    }
    if attrs.was_unpadded.is_some() {
        spec.extend(quote!(.with_unpadded_before()));
    }
    if field.is_in_context() {
        spec.extend(quote!(.with_context()));
    }
    spec
}

fn role(field: &Field<'_>) -> Option<&'static str> {
    let keys = &field.attrs.keys;
    if keys.has("partition_key") {
        Some("PartitionKey")
    } else if keys.has("sort_key") {
        Some("SortKey")
    } else if field.is_id() {
        Some("Id")
    } else {
        field.is_version().then_some("Version")
    }
}

fn mask_value(private: &TokenStream, mask: &Mask) -> TokenStream {
    match mask {
        Mask::Named(choice) => {
            let variant = format_ident!("{}", choice.variant);
            quote!(#private::Mask::#variant)
        }
        Mask::Function(path) => {
            let (start, _) = types::ends(path);
            quote_spanned!(start=> #private::Mask::Custom(#path))
        }
    }
}

fn was(was: Option<&Was>) -> Option<TokenStream> {
    was.map(|was| {
        let names = &was.value;
        quote!(.with_was(&[#(#names),*]))
    })
}

/// What tokens cannot tell: whether a field holds one value, several, or a nested struct.
fn shape_checks(model: &Model<'_>) -> TokenStream {
    let private = model.private();
    // outside the struct's implementations its parameters and `Self` mean nothing
    let is_free = |field: &&Field<'_>| !model.is_generic(field.ty) && !types::mentions_self(field.ty);
    let has_lifetimes = model.generics.lifetimes().next().is_some();
    let fields = model.sealed().map(|(_, field)| field).filter(is_free).filter(|_| !has_lifetimes);
    let checks = fields.map(|field| {
        let holds = at_type(field, &quote!(#private::PiiField), "HOLDS");
        let (start, end) = types::ends(field.ty);
        let private = model.private_at(start);
        let function = Ident::new(
            match (field.is_nested(), field.kind) {
                (true, _) => "nested_struct",
                (_, Kind::Sealed(Shape::Json)) => "many_values",
                _ => "one_value",
            },
            start,
        );
        let call = quote_spanned!(start=> #private::#function);
        let padded = field.attrs.pad.as_ref().map(|pad| {
            let private = model.private_at(pad.key.span());
            let function = quote_spanned!(pad.key.span()=> #private::padded_value);
            quote_spanned!(pad.key.span()=> const _: () = #function(#holds);)
        });
        let legacy = field.attrs.legacy.as_ref().map(|legacy| {
            let private = model.private_at(legacy.key.span());
            let function = quote_spanned!(legacy.key.span()=> #private::legacy_text);
            quote_spanned!(legacy.key.span()=> const _: () = #function(#holds);)
        });
        let shape = quote_spanned!(end=> const _: () = #call(#holds););
        quote!(#shape #padded #legacy)
    });
    quote!(#(#checks)*)
}

//! The struct as this derive understands it.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote};
use syn::{Data, DeriveInput, Expr, Fields, Generics, Ident, Path, Type, Visibility, ext::IdentExt};

use crate::{
    attr::{self, BlindIndex, Container, Given, Normalize, RenameAll, Renames, SerdeRenameAll},
    ctxt::Ctxt,
    types,
};

pub(crate) struct Model<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) generics: &'a Generics,
    pub(crate) attrs: Container,
    pub(crate) fields: Vec<Field<'a>>,
    /// Places in the context's expressions where `self` stands for more than one field.
    pub(crate) whole_self: Vec<Span>,
    krate: Path,
}

pub(crate) struct Field<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) ty: &'a Type,
    pub(crate) attrs: attr::Field,
    pub(crate) kind: Kind,
    /// The stable name.
    pub(crate) name: String,
    pub(crate) column: String,
    /// The attribute of an item, as serde names it.
    pub(crate) attribute: String,
    /// The places in the context's expressions that name the field.
    pub(crate) context_uses: Vec<Ident>,
}

/// A blind index, of a field or over several.
pub(crate) struct Index<'a> {
    pub(crate) attrs: &'a BlindIndex,
    /// The stable name, which is in the key.
    pub(crate) name: String,
    /// What follows `by_` in the name of the search, unless another one is given.
    pub(crate) search: String,
    pub(crate) parts: Vec<IndexedPart<'a>>,
    /// Column and attribute of version 1.
    column: (String, String),
}

pub(crate) struct IndexedPart<'a> {
    pub(crate) field: &'a Field<'a>,
    pub(crate) normalize: Option<&'a Given<Vec<Normalize>>>,
}

/// Where a version of a blind index is stored.
pub(crate) struct IndexVersion {
    pub(crate) number: u32,
    pub(crate) column: String,
    pub(crate) attribute: String,
}

impl<'a> Index<'a> {
    fn of_field(field: &'a Field<'a>, attrs: &'a BlindIndex) -> Self {
        let name = attrs.name.as_ref().map(|name| name.value.value());
        let column = match &name {
            Some(name) => (format!("{name}_bidx"), format!("{name}_bidx")),
            None => (format!("{}_bidx", field.column), format!("{}_bidx", field.attribute)),
        };
        let parts = vec![IndexedPart { field, normalize: attrs.normalize.as_ref() }];
        let search = name.clone().unwrap_or_else(|| field.ident.unraw().to_string());
        let name = name.unwrap_or_else(|| field.name.clone());
        Self::new(attrs, (name, search), parts, column)
    }

    /// `None` where errors tell what is missing.
    fn of_fields(model: &'a Model<'a>, attrs: &'a BlindIndex) -> Option<Self> {
        let name = attrs.name.as_ref()?.value.value();
        let parts = attrs.fields.as_ref()?.value.iter().filter_map(|part| {
            let field = model.columns().find(|field| *field.ident == part.ident)?;
            Some(IndexedPart { field, normalize: part.normalize.as_ref() })
        });
        let (parts, column) = (parts.collect(), (format!("{name}_bidx"), format!("{name}_bidx")));
        Some(Self::new(attrs, (name.clone(), name), parts, column))
    }

    fn new(
        attrs: &'a BlindIndex,
        (name, search): (String, String),
        parts: Vec<IndexedPart<'a>>,
        column: (String, String),
    ) -> Self {
        let given = attrs.column.as_ref().map(|column| column.value.value());
        let column = given.map_or(column, |column| (column.clone(), column));
        Self { attrs, name, search, parts, column }
    }

    /// The name of the search.
    pub(crate) fn finder(&self) -> Ident {
        let given = self.attrs.search.as_ref().map(|given| given.value.clone());
        given.unwrap_or_else(|| format_ident!("by_{}", self.search, span = self.attrs.span()))
    }

    pub(crate) fn is_global(&self) -> bool {
        self.attrs.scope.as_ref().is_some_and(|scope| scope.value.variant == "Global")
    }

    pub(crate) fn versions(&self) -> Vec<IndexVersion> {
        let named = |base: &str, number| match number {
            1 => base.to_owned(),
            _ => format!("{base}_v{number}"),
        };
        let (column, attribute) = &self.column;
        let numbers = self.attrs.numbers().into_iter();
        numbers
            .map(|number| IndexVersion {
                number,
                column: named(column, number),
                attribute: named(attribute, number),
            })
            .collect()
    }
}

/// What a field is to this derive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Left out of everything.
    Skipped,
    /// Not personal.
    Plain,
    /// Level 1: personal, stored plain.
    Personal,
    /// Holds sealed values.
    Sealed(Shape),
}

/// How a sealed field is stored in columns.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One text, or none.
    Text,
    /// A collection or nested struct, as JSON.
    Json,
    /// A nested struct, its fields in columns with a prefix.
    Columns,
}

impl<'a> Model<'a> {
    /// As much of the input as can be understood; what cannot is reported.
    pub(crate) fn parse(cx: &Ctxt, input: &'a DeriveInput) -> Self {
        let attrs = Container::parse(cx, &input.attrs);
        let rename_all = RenameAll::of(&input.attrs);
        let serde_rename_all = SerdeRenameAll::of(&input.attrs);
        let mut fields: Vec<_> = named_fields(cx, input)
            .map(|(ident, field)| Field::parse(cx, (rename_all, serde_rename_all), ident, field))
            .collect();
        let mut whole_self = Vec::new();
        for pair in attrs.context_pairs() {
            let mut uses = Vec::new();
            uses_of_self(pair.value.to_token_stream(), &mut uses, &mut whole_self);
            for used in uses {
                if let Some(field) = fields.iter_mut().find(|field| *field.ident == used) {
                    field.context_uses.push(used);
                }
            }
        }
        let krate = attrs.krate();
        Self {
            ident: &input.ident,
            vis: &input.vis,
            generics: &input.generics,
            attrs,
            fields,
            whole_self,
            krate,
        }
    }

    /// The module with everything that generated code uses.
    pub(crate) fn private(&self) -> TokenStream {
        let krate = &self.krate;
        quote!(#krate::__private)
    }

    /// The same, with errors at this place.
    pub(crate) fn private_at(&self, span: Span) -> TokenStream {
        let at_span = |mut token: TokenTree| {
            token.set_span(span);
            token
        };
        self.private().into_iter().map(at_span).collect()
    }

    /// The fields that are not skipped, in their order: those of the model's specification.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &Field<'a>> {
        self.fields.iter().filter(|field| field.kind != Kind::Skipped)
    }

    /// The sealed fields with their positions among the columns.
    pub(crate) fn sealed(&self) -> impl Iterator<Item = (usize, &Field<'a>)> {
        self.columns().enumerate().filter(|(_, field)| field.is_sealed())
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &Field<'a>> {
        self.columns().filter(|field| field.is_id())
    }

    /// Whether values are bound to model and field, not to the row.
    pub(crate) fn binds_field_only(&self) -> bool {
        self.attrs.bind.is_some()
            || self.ids().any(|id| id.attrs.bind.is_some())
            || self.ids().next().is_none()
    }

    /// The blind indexes, those of fields first.
    pub(crate) fn indexes(&self) -> Vec<Index<'_>> {
        let mut indexes = Vec::new();
        for field in self.columns().filter(|field| field.is_sealed()) {
            indexes.extend(field.attrs.blind_indexes.iter().map(|attrs| Index::of_field(field, attrs)));
        }
        indexes.extend(self.attrs.blind_indexes.iter().filter_map(|attrs| Index::of_fields(self, attrs)));
        indexes
    }

    /// The fields that an expression of the context names.
    pub(crate) fn uses(&self, value: &Expr) -> Vec<Ident> {
        let mut uses = Vec::new();
        uses_of_self(value.to_token_stream(), &mut uses, &mut Vec::new());
        uses
    }

    /// Whether the type depends on a type or const parameter of the struct.
    pub(crate) fn is_generic(&self, ty: &Type) -> bool {
        types::mentions_parameter(ty, self.generics)
    }
}

impl<'a> Field<'a> {
    fn parse(
        cx: &Ctxt,
        (rename_all, serde_rename_all): (Option<RenameAll>, Option<SerdeRenameAll>),
        ident: &'a Ident,
        field: &'a syn::Field,
    ) -> Self {
        let attrs = attr::Field::parse(cx, &field.attrs);
        let name = attrs.name.as_ref().map_or_else(|| ident.unraw().to_string(), |given| given.value.value());
        let renames = Renames::of(&field.attrs);
        let attribute = renames.attribute(serde_rename_all, ident);
        let column = match &attrs.column {
            Some(given) => given.value.value(),
            None => renames.column(rename_all, ident),
        };
        let kind = Kind::of(&attrs, &field.ty);
        Self {
            ident,
            vis: &field.vis,
            ty: &field.ty,
            attrs,
            kind,
            name,
            column,
            attribute,
            context_uses: Vec::new(),
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        matches!(self.kind, Kind::Sealed(_))
    }

    pub(crate) fn is_id(&self) -> bool {
        ID_KEYS.iter().any(|key| self.attrs.keys.has(key))
    }

    pub(crate) fn is_version(&self) -> bool {
        self.attrs.keys.has("version")
    }

    pub(crate) fn is_level_three(&self) -> bool {
        self.attrs.level.as_ref().is_some_and(|level| level.value.number == 3)
    }

    pub(crate) fn is_nested(&self) -> bool {
        self.attrs.keys.has("nested")
    }

    /// What stands before the names of a nested struct's columns.
    pub(crate) fn prefix(&self) -> String {
        self.attrs.prefix.as_ref().map(|prefix| prefix.value.value()).unwrap_or_default()
    }

    /// Whether the field's value is part of the encryption context.
    pub(crate) fn is_in_context(&self) -> bool {
        !self.context_uses.is_empty()
    }
}

/// What marks a field as a part of the row's id.
pub(crate) const ID_KEYS: &[&str] = &["id", "partition_key", "sort_key"];

impl Kind {
    /// A key counts by its presence, so that an error in its value has no second one in its wake.
    fn of(attrs: &attr::Field, ty: &Type) -> Self {
        let keys = &attrs.keys;
        if keys.has("skip") {
            return Self::Skipped;
        }
        if ID_KEYS.iter().any(|key| keys.has(key)) || keys.has("version") {
            return Self::Plain;
        }
        if keys.has("nested") {
            return Self::Sealed(if keys.has("prefix") { Shape::Columns } else { Shape::Json });
        }
        let marked = keys.bare()
            || ["mode", "keyring", "plaintext", "legacy", "blind_index", "pad", "was_unpadded"]
                .iter()
                .any(|key| keys.has(key));
        let level = attrs.level.as_ref().map(|level| level.value.number);
        if types::mentions_sealed(ty) || level.is_some_and(|level| level > 1) || (marked && level.is_none()) {
            return Self::Sealed(if types::is_collection(ty) { Shape::Json } else { Shape::Text });
        }
        if level.is_some() || keys.has("level") { Self::Personal } else { Self::Plain }
    }
}

fn named_fields<'a>(cx: &Ctxt, input: &'a DeriveInput) -> impl Iterator<Item = (&'a Ident, &'a syn::Field)> {
    let fields = match &input.data {
        Data::Struct(data) => {
            if !matches!(data.fields, Fields::Named(_)) {
                cx.error(
                    &input.ident,
                    "`PiiModel` needs a struct with named fields: a field's name is authenticated with its values",
                );
            }
            Some(&data.fields)
        }
        Data::Enum(_) => {
            cx.error(
                &input.ident,
                "`PiiModel` is for structs; to seal an enum whole, put it into a field as `Encrypted<Json<...>>`",
            );
            None
        }
        Data::Union(_) => {
            cx.error(&input.ident, "`PiiModel` is for structs with named fields");
            None
        }
    };
    fields.into_iter().flatten().filter_map(|field| Some((field.ident.as_ref()?, field)))
}

/// The fields that an expression takes from `self`, and the places where it takes all of `self`.
fn uses_of_self(tokens: TokenStream, fields: &mut Vec<Ident>, whole: &mut Vec<Span>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => uses_of_self(group.stream(), fields, whole),
            TokenTree::Ident(ident) if ident == "self" => {
                let dot = tokens
                    .next_if(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '.'));
                match dot.and_then(|_| tokens.next()) {
                    Some(TokenTree::Ident(field)) if !is_call(tokens.peek()) => fields.push(field),
                    Some(TokenTree::Group(group)) => {
                        whole.push(ident.span());
                        uses_of_self(group.stream(), fields, whole);
                    }
                    _ => whole.push(ident.span()),
                }
            }
            _ => {}
        }
    }
}

fn is_call(next: Option<&TokenTree>) -> bool {
    match next {
        Some(TokenTree::Group(group)) => group.delimiter() == proc_macro2::Delimiter::Parenthesis,
        // a turbofish
        Some(TokenTree::Punct(punct)) => punct.as_char() == ':',
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(expression: TokenStream) -> (Vec<String>, usize) {
        let (mut fields, mut whole) = (Vec::new(), Vec::new());
        uses_of_self(expression, &mut fields, &mut whole);
        (fields.iter().map(ToString::to_string).collect(), whole.len())
    }

    #[test]
    fn fields_are_found_in_expressions_and_macros() {
        assert_eq!(uses(quote!(self.region.code())), (vec!["region".into()], 0));
        assert_eq!(uses(quote!(format!("{}-{}", self.a, f(&self.b)[0]))), (vec!["a".into(), "b".into()], 0));
        assert_eq!(uses(quote!(Self::APP)), (vec![], 0));
    }

    #[test]
    fn all_of_self_is_told_from_a_field() {
        assert_eq!(uses(quote!(self.tenant())), (vec![], 1));
        assert_eq!(uses(quote!(self.get::<u8>())), (vec![], 1));
        assert_eq!(uses(quote!(tenant_of(self))), (vec![], 1));
    }
}

//! Rules for blind indexes.

use std::collections::BTreeSet;

use crate::{
    ast::{Field, Index, Kind, Model, Shape},
    attr::BlindIndex,
    ctxt::Ctxt,
    types,
};

pub(super) fn check(cx: &Ctxt, model: &Model<'_>) {
    let attributes = model.fields.iter().flat_map(|field| &field.attrs.blind_indexes);
    let attributes = attributes.chain(&model.attrs.blind_indexes);
    if let Some(why) = nowhere(model) {
        attributes.for_each(|index| cx.error(&index.key, why));
        return;
    }
    attributes.for_each(|index| arguments(cx, index));
    for field in model.fields.iter().filter(|field| field.kind != Kind::Skipped) {
        if let Some(index) = field.attrs.blind_indexes.first() {
            indexed(cx, field, &index.key);
        }
    }
    for index in &model.attrs.blind_indexes {
        several(cx, model, index);
    }
    names(cx, model);
}

/// Structs that have no blind indexes of their own.
fn nowhere(model: &Model<'_>) -> Option<&'static str> {
    if model.attrs.is_nested() {
        Some("a blind index stands on a field of the model itself, not on one of a nested struct")
    } else if model.attrs.keys.has("view_of") {
        Some("a view has the blind indexes of its model; remove `blind_index`")
    } else {
        None
    }
}

fn arguments(cx: &Ctxt, index: &BlindIndex) {
    if let (Some(bits), Some(_)) = (&index.bits, &index.unique) {
        cx.error(
            &bits.key,
            "a unique index keeps all bits, as different values must never share a code; remove `bits` or `unique`",
        );
    }
    let mut known = BTreeSet::new();
    for version in index.versions.iter().flat_map(|versions| &versions.value) {
        if !known.insert(version.number) {
            cx.error(&version.literal, "this version is listed twice");
        }
    }
}

/// Whether the field is one that can be indexed.
fn indexed(cx: &Ctxt, field: &Field<'_>, at: &syn::Ident) {
    match field.kind {
        Kind::Plain | Kind::Personal => cx.error(
            at,
            "this field is stored plain: an index of the database finds it; a blind index is for sealed fields",
        ),
        Kind::Sealed(Shape::Json | Shape::Columns) => cx.error(
            at,
            "a list, map or nested struct has no one value to search for; give what is searched for a field of its own",
        ),
        Kind::Sealed(Shape::Text) if field.is_level_three() => cx.error(
            at,
            "a field of level 3 has no blind index: its code would be under one key alone, and level 3 promises two",
        ),
        Kind::Sealed(Shape::Text) if types::is_string(field.ty) || types::is_scalar(field.ty) => cx.error(
            field.ty,
            "a blind index is for sealed fields: write `EncryptedStr`, or `Encrypted<...>` around another type",
        ),
        Kind::Sealed(Shape::Text) | Kind::Skipped => {}
    }
}

/// An index over several fields.
fn several(cx: &Ctxt, model: &Model<'_>, index: &BlindIndex) {
    if index.name.is_none() {
        cx.error(
            &index.key,
            "an index over several fields needs a name: `blind_index(name = \"full_name\", fields(...))`",
        );
    }
    let Some(fields) = &index.fields else {
        cx.error(
            &index.key,
            "say which fields it is made of: `blind_index(name = \"...\", fields(last_name, birthday))`",
        );
        return;
    };
    let mut keyrings = BTreeSet::new();
    for (position, part) in fields.value.iter().enumerate() {
        let Some(field) = model.fields.iter().find(|field| *field.ident == part.ident) else {
            cx.error(&part.ident, format!("there is no field `{}`", part.ident));
            continue;
        };
        if fields.value.iter().take(position).any(|earlier| earlier.ident == part.ident) {
            cx.error(&part.ident, "this field is listed twice");
        }
        match field.kind {
            Kind::Skipped => cx.error(&part.ident, "a skipped field is not stored: it can't be indexed"),
            _ => indexed(cx, field, &part.ident),
        }
        let keyring = field.attrs.keyring.as_ref().or(model.attrs.keyring.as_ref());
        if keyrings.insert(keyring.map(|keyring| keyring.value.value())) && keyrings.len() == 2 {
            cx.error(
                &part.ident,
                "the fields of one index have one keyring: this one has another than those before it",
            );
        }
    }
}

/// Names and columns must differ, and a finder be named after the index.
fn names(cx: &Ctxt, model: &Model<'_>) {
    let (mut names, mut searches) = (BTreeSet::new(), BTreeSet::new());
    let mut columns: BTreeSet<String> =
        model.columns().flat_map(|field| [field.column.clone(), field.attribute.clone()]).collect();
    for index in model.indexes() {
        let Index { attrs, name, search, .. } = &index;
        if attrs.search.is_none() && syn::parse_str::<syn::Ident>(&format!("by_{search}")).is_err() {
            match &attrs.name {
                Some(given) => cx.error(
                    &given.value,
                    "a search is named after its index: write a name that can follow `by_`, such as \"email_domain\"",
                ),
                None => cx.error(
                    &attrs.key,
                    "a search is named after its index: give it a name that can follow `by_`: `blind_index(name = \"email\")`",
                ),
            }
            continue;
        }
        let (is_new, has_new_search) = (names.insert(name.clone()), searches.insert(index.finder()));
        if let (false, Some(given)) = (has_new_search, &attrs.search) {
            cx.error(
                &given.value,
                format!("there is a search `{}` already: name another `search`", given.value),
            );
            continue;
        }
        if !(is_new && has_new_search) {
            let name = if is_new { search } else { name };
            cx.error(
                &attrs.key,
                format!("there are two blind indexes `{name}`: give this one another name, `blind_index(name = \"...\")`"),
            );
            continue;
        }
        let mut known = BTreeSet::new();
        let taken =
            index.versions().into_iter().filter(|version| known.insert(version.number)).find(|version| {
                let is_new = columns.insert(version.column.clone());
                let is_other =
                    version.attribute == version.column || columns.insert(version.attribute.clone());
                !(is_new && is_other)
            });
        if let Some(version) = taken {
            cx.error(
                &attrs.key,
                format!("there is a field or index `{}` already: name another `column`", version.column),
            );
        }
    }
}

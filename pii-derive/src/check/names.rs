//! Stable names and columns: what is stored under a name must stay findable under it.

use std::collections::HashMap;

use proc_macro2::TokenStream;
use quote::ToTokens;

use crate::{
    ast::{Field, Model},
    attr::Was,
    ctxt::Ctxt,
};

pub(super) fn check(cx: &Ctxt, model: &Model<'_>) {
    if let (Some(name), Some(was)) = (&model.attrs.name, &model.attrs.was) {
        earlier_names(cx, was, &name.value.value(), "the model");
    }
    let mut names = HashMap::new();
    let mut columns = HashMap::new();
    for field in model.columns() {
        if let Some(other) = names.insert(field.name.clone(), field) {
            cx.error(
                name_tokens(field),
                format!(
                    "`{}` is already the stable name of `{}`; choose another `name`",
                    field.name, other.ident
                ),
            );
        }
        if let Some(other) = columns.insert(field.column.clone(), field) {
            cx.error(
                column_tokens(field),
                format!(
                    "`{}` is already the column of `{}`; choose another `column`",
                    field.column, other.ident
                ),
            );
        }
    }
    let mut earlier: HashMap<String, &Field<'_>> = HashMap::new();
    for field in model.columns() {
        let Some(was) = &field.attrs.was else { continue };
        earlier_names(cx, was, &field.name, "the field");
        for name in &was.value {
            let text = name.value();
            let now = names.get(&text).copied().filter(|other| other.ident != field.ident);
            let before = earlier.insert(text.clone(), field).filter(|other| other.ident != field.ident);
            if let Some(other) = now {
                cx.error(
                    name,
                    format!(
                        "`{text}` is the stable name of `{}` now: it cannot be an earlier name too",
                        other.ident
                    ),
                );
            } else if let Some(other) = before {
                cx.error(name, format!("`{text}` is already an earlier name of `{}`", other.ident));
            }
        }
    }
}

fn earlier_names(cx: &Ctxt, was: &Was, now: &str, what: &str) {
    for (index, name) in was.value.iter().enumerate() {
        let text = name.value();
        if text == now {
            cx.error(name, format!("this is the name of {what} now; `was` lists earlier ones"));
        } else if was.value.iter().take(index).any(|earlier| earlier.value() == text) {
            cx.error(name, format!("`{text}` is given twice"));
        }
    }
}

fn name_tokens(field: &Field<'_>) -> TokenStream {
    field
        .attrs
        .name
        .as_ref()
        .map_or_else(|| field.ident.to_token_stream(), |name| name.value.to_token_stream())
}

fn column_tokens(field: &Field<'_>) -> TokenStream {
    field
        .attrs
        .column
        .as_ref()
        .map_or_else(|| field.ident.to_token_stream(), |name| name.value.to_token_stream())
}

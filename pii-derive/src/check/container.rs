//! Rules for the attributes of the struct.

use syn::{Expr, ExprField, ExprPath, ext::IdentExt};

use crate::{
    ast::{Field, Kind, Model},
    attr::{Container, SUBJECT},
    ctxt::Ctxt,
};

const MAX_CONTEXT_PAIRS: usize = 8;
/// What a nested struct takes from the model it stands in.
const NOT_ON_NESTED: &[&str] =
    &["name", "was", "table", "context", "subject", "bind", "view_of", "from_row", "fields"];
/// What a view takes from its model.
const NOT_ON_VIEWS: &[&str] = &["name", "was", "table"];

pub(super) fn check(cx: &Ctxt, model: &Model<'_>) {
    let keys = &model.attrs.keys;
    if model.attrs.is_nested() {
        for key in keys.among(NOT_ON_NESTED) {
            cx.error(
                key,
                format!("a nested struct has no `{key}`: it is part of the models whose fields it stands in"),
            );
        }
        return;
    }
    if keys.has("view_of") {
        for key in keys.among(NOT_ON_VIEWS) {
            cx.error(key, format!("a view takes `{key}` from the model it is a view of; remove it"));
        }
        if let Some(parameter) = model.generics.params.first() {
            cx.error(parameter, "a view cannot have generic parameters");
        }
    } else {
        name(cx, model);
    }
    if let (Some(fields), Some(_)) = (keys.find("fields"), model.generics.params.first()) {
        cx.error(fields, "a generic struct has no function that gives its columns: remove `fields`");
    }
    binding(cx, model);
    subject(cx, &model.attrs);
    context(cx, &model.attrs);
    context_uses(cx, model);
    if let (Some(from_row), Some(lifetime)) = (keys.find("from_row"), model.generics.lifetimes().next()) {
        cx.error(
            lifetime,
            format!("a struct with `{from_row}` owns its fields: it cannot have lifetime parameters"),
        );
    }
}

fn name(cx: &Ctxt, model: &Model<'_>) {
    if model.attrs.keys.has("name") || model.sealed().next().is_none() {
        return;
    }
    let example = snake_case(&model.ident.unraw().to_string());
    cx.error(
        model.ident,
        format!(
            "a model with sealed fields needs a stable name, which is authenticated with every value: write \
             `#[pii(name = \"{example}\")]` on the struct, and keep it when the struct is renamed"
        ),
    );
}

fn binding(cx: &Ctxt, model: &Model<'_>) {
    let has_id = model.fields.iter().any(Field::is_id);
    if let (Some(bind), true) = (&model.attrs.bind, has_id) {
        cx.error(&bind.key, "this model has an id: write `#[pii(id, bind = \"field\")]` there instead");
    }
    if !has_id && !model.attrs.keys.has("bind") && model.sealed().next().is_some() {
        cx.error(
            model.ident,
            "sealed values are bound to their row: mark the field that identifies it `#[pii(id)]`, or write \
             `#[pii(bind = \"field\")]` on the struct to bind them to model and field only",
        );
    }
}

/// A subject is the id of a person, as it stands in a field.
fn subject(cx: &Ctxt, attrs: &Container) {
    if let Some(subject) = attrs.subject.as_ref().filter(|subject| !is_field(&subject.value)) {
        cx.error(
            &subject.value,
            "`subject` takes the field with the person's random id: `subject = self.person_id`",
        );
    }
}

/// `self.field`, or a field of it.
fn is_field(expression: &Expr) -> bool {
    match expression {
        Expr::Field(ExprField { base, .. }) => match &**base {
            Expr::Path(ExprPath { path, .. }) => path.is_ident("self"),
            base => is_field(base),
        },
        Expr::Group(group) => is_field(&group.expr),
        _ => false,
    }
}

fn context(cx: &Ctxt, attrs: &Container) {
    let pairs = attrs.context_pairs();
    let own = pairs.len() - usize::from(attrs.subject.is_some());
    for (index, pair) in pairs.iter().enumerate() {
        let name = &pair.name;
        if index < own && name.text == SUBJECT {
            let message = match attrs.subject {
                Some(_) => "`subject` outside of `context` adds this pair already; remove it here",
                None => {
                    "the pair `subject` is for the person whom values are about, so that they can be erased \
                     together: write `subject = self.person_id` beside `context`, or choose another name"
                }
            };
            cx.error_at(name.span, message);
            continue;
        }
        if name.text.is_empty() {
            cx.error_at(name.span, "a name of the encryption context must not be empty");
        }
        if name.text.starts_with("pii:") {
            cx.error_at(name.span, "names that begin with `pii:` are reserved; choose another");
        }
        if index < own && pairs.iter().take(index).any(|earlier| earlier.name.text == name.text) {
            cx.error_at(name.span, format!("`{}` is given twice", name.text));
        }
        if index == MAX_CONTEXT_PAIRS {
            cx.error_at(
                name.span,
                format!("an encryption context has at most {MAX_CONTEXT_PAIRS} pairs; leave some out"),
            );
        }
        if pair.literal().is_some_and(|literal| literal.value().is_empty()) {
            cx.error(&pair.value, "a value of the encryption context must not be empty");
        }
    }
}

fn context_uses(cx: &Ctxt, model: &Model<'_>) {
    for place in &model.whole_self {
        cx.error_at(
            *place,
            "name the fields, such as `self.tenant` or `region_of(&self.address)`: this derive must know which \
             fields are part of the encryption context, to keep them out of `Debug`",
        );
    }
    for field in &model.fields {
        let reason = match field.kind {
            Kind::Sealed(_) => {
                "a sealed field cannot be part of the encryption context, which chooses its key"
            }
            Kind::Personal => {
                "a personal field cannot be part of the encryption context, which key services log in clear text"
            }
            Kind::Skipped => "a skipped field cannot be part of the encryption context: it is not loaded",
            Kind::Plain => continue,
        };
        for place in &field.context_uses {
            cx.error(place, reason);
        }
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(letter.to_lowercase());
    }
    out
}

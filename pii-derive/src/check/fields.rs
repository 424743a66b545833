//! Rules for the attributes of fields.

use syn::Ident;

use crate::{
    ast::{Field, ID_KEYS, Kind, Model},
    attr::{Choice, Given, Mask},
    ctxt::Ctxt,
    types,
};

/// What makes sense only where a value is sealed.
const ONLY_SEALED: &[&str] = &["mode", "keyring", "plaintext", "legacy", "pad", "was_unpadded"];
/// What makes a field personal.
const NOT_ON_IDS: &[&str] = &["level", "mode", "keyring", "plaintext", "legacy", "pad", "was_unpadded"];
/// What the fields of a nested struct say for themselves.
const NOT_ON_NESTED_FIELDS: &[&str] =
    &["level", "mode", "mask", "keyring", "plaintext", "legacy", "pad", "was_unpadded"];

pub(super) fn check(cx: &Ctxt, model: &Model<'_>) {
    for field in &model.fields {
        match field.kind {
            Kind::Skipped => skipped(cx, field),
            Kind::Plain => plain(cx, model, field),
            Kind::Personal => personal(cx, field),
            Kind::Sealed(_) => sealed(cx, model, field),
        }
        if let (Some(bind), false) =
            (field.attrs.keys.find("bind"), field.is_id() || field.kind == Kind::Skipped)
        {
            cx.error(bind, "`bind` goes beside `id`: `#[pii(id, bind = \"field\")]`");
        }
        if let Some(prefix) = field.attrs.keys.find("prefix").filter(|_| field.kind != Kind::Skipped) {
            prefixed(cx, model, field, prefix);
        }
        if let (true, Some(column)) = (model.attrs.is_nested(), field.attrs.keys.find("column")) {
            cx.error(column, "a nested struct is one column of the model it stands in; remove `column`");
        }
    }
    keys_of_items(cx, model);
    let mut versions = model.columns().filter_map(|field| field.attrs.keys.find("version"));
    if let (Some(_), Some(second)) = (versions.next(), versions.next()) {
        cx.error(second, "a model has at most one version column");
    }
}

/// A nested struct in columns of its own.
fn prefixed(cx: &Ctxt, model: &Model<'_>, field: &Field<'_>, prefix: &Ident) {
    if !field.is_nested() {
        cx.error(
            prefix,
            "`prefix` goes beside `nested`, for a struct whose fields are columns; for one column write `column`",
        );
    } else if types::is_collection(field.ty) {
        cx.error(field.ty, "a list or map has no columns of its own: remove `prefix` to store it as JSON");
    } else if model.is_generic(field.ty) || types::mentions_self(field.ty) {
        cx.error(
            field.ty,
            "the columns of this struct must be known here: its type can't depend on the parameters of the model",
        );
    }
    if let Some(column) = field.attrs.keys.find("column") {
        cx.error(column, "with `prefix` the struct is no column of its own; remove `column`, or `prefix`");
    }
}

/// An item of DynamoDB has one partition key, and after it at most one sort key.
fn keys_of_items(cx: &Ctxt, model: &Model<'_>) {
    let find = |key: &'static str| model.columns().filter_map(move |field| field.attrs.keys.find(key));
    for (key, called) in [("partition_key", "partition key"), ("sort_key", "sort key")] {
        if let Some(second) = find(key).nth(1) {
            cx.error(second, format!("an item has one {called}"));
        }
    }
    if let (Some(sort), None) = (find("sort_key").next(), find("partition_key").next()) {
        cx.error(sort, "a sort key comes after a partition key: mark that field `#[pii(partition_key)]`");
    }
    let position = |key: &str| model.columns().position(|field| field.attrs.keys.has(key));
    if let (Some(partition), Some(sort), Some(key)) =
        (position("partition_key"), position("sort_key"), find("sort_key").next())
        && sort < partition
    {
        cx.error(
            key,
            "the id is made of its fields in their order: put the partition key before the sort key",
        );
    }
    for field in model.columns() {
        let marks: Vec<_> = ID_KEYS.iter().filter_map(|key| field.attrs.keys.find(key)).collect();
        if let [_, second, ..] = marks.as_slice() {
            cx.error(second, "a field has one part in the id; keep one of them");
        }
    }
    if let (Some(_), Some(id)) = (find("partition_key").next(), find("id").next()) {
        cx.error(id, "the id of an item is its partition key and sort key alone; remove `id`");
    }
}

fn skipped(cx: &Ctxt, field: &Field<'_>) {
    for key in field.attrs.keys.iter().filter(|key| *key != "skip") {
        cx.error(key, format!("`skip` leaves the field out of everything; remove `{key}`, or `skip`"));
    }
}

fn plain(cx: &Ctxt, model: &Model<'_>, field: &Field<'_>) {
    let keys = &field.attrs.keys;
    if let Some(role) = ID_KEYS.iter().find_map(|key| keys.find(key)).or_else(|| keys.find("version")) {
        if types::mentions_sealed(field.ty) || keys.bare() {
            cx.error(
                field.ty,
                format!("a sealed field cannot be the {role}: its stored text changes with every save"),
            );
        }
        for key in keys.among(NOT_ON_IDS) {
            cx.error(
                key,
                format!("the {role} is stored plain and shown: it must not be personal; remove `{key}`"),
            );
        }
        if model.attrs.is_nested() {
            cx.error(role, format!("a nested struct has no `{role}`: it is part of a model's row"));
        }
    }
    if let (true, Some(version)) = (field.is_id(), keys.find("version")) {
        cx.error(version, "an id cannot be the version too");
    }
    if field.is_version() && types::is_no_integer(field.ty) && !types::mentions_sealed(field.ty) {
        cx.error(field.ty, "a version is counted up and always there: make it an integer, such as `i64`");
    }
    if field.is_id() && types::option_argument(field.ty).is_some() {
        optional_id(cx, model, field);
    }
    if let Some(mask) = keys.find("mask") {
        cx.error(
            mask,
            "a mask is for personal fields: add `level = 1` to store the field plain and show it masked, or make \
             it an `EncryptedStr` (write `level = 2` if its type is an alias of one)",
        );
    }
}

/// An id that may be missing.
fn optional_id(cx: &Ctxt, model: &Model<'_>, field: &Field<'_>) {
    if !field.attrs.keys.has("bind") {
        cx.error(
            field.ty,
            "an id that the database makes up is not known when the row is sealed: fetch the sequence value first \
             and make this a plain value, or write `#[pii(id, bind = \"field\")]`",
        );
    } else if model.ids().count() > 1 {
        cx.error(field.ty, "only the single id of a model can be an `Option`");
    }
}

fn personal(cx: &Ctxt, field: &Field<'_>) {
    let keys = &field.attrs.keys;
    for key in keys.among(ONLY_SEALED) {
        cx.error(
            key,
            format!("`{key}` is for sealed fields, and level 1 is stored plain; remove one of them"),
        );
    }
    let mask = field.attrs.mask.as_ref().filter(|_| types::is_scalar(field.ty));
    let is_full = |mask: &Mask| matches!(mask, Mask::Named(choice) if choice.variant == "Full");
    if let Some(mask) = mask.filter(|mask| !is_full(&mask.value)) {
        cx.error(&mask.key, "this mask is for text; a number is masked in full: remove `mask`");
    }
}

fn sealed(cx: &Ctxt, model: &Model<'_>, field: &Field<'_>) {
    let attrs = &field.attrs;
    if let (Some(before), false) = (&attrs.was_unpadded, attrs.keys.has("pad")) {
        cx.error(
            &before.key,
            "`was_unpadded` says that stored values are from before `pad`; add `pad = 32`, or remove it",
        );
    }
    if let Some(level) = attrs.level.as_ref().filter(|level| level.value.number == 1 && !field.is_nested()) {
        cx.error(
            &level.value.literal,
            "level 1 is stored plain, but this type is sealed: remove `level`, or make the type a plain one",
        );
    }
    if field.is_nested() {
        for key in attrs.keys.among(NOT_ON_NESTED_FIELDS) {
            cx.error(key, format!("`{key}` goes on the fields of the nested struct"));
        }
        return;
    }
    let policy = attrs.plaintext.as_ref().or(model.attrs.plaintext.as_ref());
    if attrs.level.as_ref().is_some_and(|level| level.value.number == 3) {
        never_plaintext(cx, field, policy);
        if let Some(legacy) = &attrs.legacy {
            cx.error(
                &legacy.key,
                "values of other systems are never accepted at level 3: they are bound to no field and no row, and one \
                 key opens them; to move them, begin with `level = 2`",
            );
        }
        return;
    }
    if let (Some(legacy), true) =
        (&attrs.legacy, policy.is_some_and(|policy| policy.value.variant == "Prepare"))
    {
        cx.error(
            &legacy.key,
            "the policy `prepare` stores new values as plaintext, and `legacy` in the form of another system; use \
             `plaintext = \"accept_and_seal\"`, or remove one of them",
        );
    }
    let Some(mode) = attrs.mode.as_ref().filter(|mode| mode.value.variant == "WriteOnly") else { return };
    if policy.is_some_and(|policy| policy.value.variant == "Prepare") {
        cx.error(
            &mode.value.literal,
            "`WriteOnly` fields are never readable, but the policy `prepare` stores them as plaintext; use \
             `accept_and_seal`, or another mode",
        );
    }
}

/// Whoever can write to the table could plant values while a policy lets plaintext in.
fn never_plaintext(cx: &Ctxt, field: &Field<'_>, policy: Option<&Given<Choice>>) {
    let Some(policy) = policy.filter(|policy| policy.value.variant != "Reject") else { return };
    let what = "plaintext is never accepted at level 3";
    match (&field.attrs.plaintext, &field.attrs.level) {
        (Some(own), _) => cx.error(
            &own.value.literal,
            format!("{what}: remove `plaintext`; to move existing plaintext, begin with `level = 2`"),
        ),
        (None, Some(level)) => cx.error(
            &level.value.literal,
            format!(
                "{what}, and the struct says `plaintext = {:?}`: write `plaintext = \"reject\"` on this field; to move \
                 existing plaintext, begin with `level = 2`",
                policy.value.literal.value()
            ),
        ),
        (None, None) => {}
    }
}

//! The rules that a struct must follow, apart from what is generated for it. Each error says what
//! to write instead.

mod container;
mod fields;
mod indexes;
mod names;

use crate::{ast::Model, ctxt::Ctxt};

pub(crate) fn model(cx: &Ctxt, model: &Model<'_>) {
    container::check(cx, model);
    fields::check(cx, model);
    indexes::check(cx, model);
    names::check(cx, model);
    // an earlier error may be the reason
    let is_personal =
        model.columns().any(|field| field.is_sealed() || field.kind == crate::ast::Kind::Personal);
    if !is_personal && !cx.has_errors() && !model.attrs.keys.has("view_of") {
        cx.error(
            model.ident,
            "nothing is personal in this struct: make a field an `EncryptedStr`, or mark one `#[pii(level = 1)]`",
        );
    }
}

//! Views: whether a struct with `view_of` fits its model. All of it runs at compile time.

use crate::model::{ContextPart, FieldSpec, Holds, ModelSpec, PlaintextPolicy, RowBinding};

/// How a field of a view relates to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewFit {
    Fits,
    /// The model has no such field.
    Missing,
    /// The model's is sealed, the view's is not.
    IsSealed,
    /// The model's is plain, the view's is not.
    IsPlain,
    OtherType,
    OtherLevel,
    OtherKeyring,
    OtherRules,
    OtherWas,
    OtherContext,
    OtherLegacy,
    OtherPadding,
}

/// The specification of a view: its own fields and context, under the names of the model.
#[must_use]
pub const fn view_model(
    model: &ModelSpec,
    fields: &'static [FieldSpec],
    context: &'static [ContextPart],
) -> ModelSpec {
    let view = ModelSpec::new(model.name(), fields, model.binding())
        .with_was(model.was())
        .with_context(context)
        .with_indexes(model.indexes())
        .as_view();
    match model.table() {
        Some(table) => view.with_table(table),
        None => view,
    }
}

/// Whether the field of the view is one of the model's, and alike.
#[must_use]
pub const fn fit(model: &ModelSpec, field: &FieldSpec) -> ViewFit {
    match find(model.fields(), field.name()) {
        _ if is_erroneous(model) => ViewFit::Fits,
        Some(other) => fit_field(other, field),
        None => ViewFit::Missing,
    }
}

/// Whether the ids have the same names in the same order.
#[must_use]
pub const fn same_ids(model: &ModelSpec, view: &[FieldSpec]) -> bool {
    let (mut a, mut b) = (0, 0);
    while !is_erroneous(model) {
        a = next_id(model.fields(), a);
        b = next_id(view, b);
        match (get(model.fields(), a), get(view, b)) {
            (None, None) => return true,
            (Some(left), Some(right)) if same(left.name(), right.name()) => {}
            _ => return false,
        }
        a += 1;
        b += 1;
    }
    true
}

/// Whether values are bound alike.
#[must_use]
pub const fn same_binding(model: &ModelSpec, view: RowBinding) -> bool {
    is_erroneous(model) || matches!(model.binding(), RowBinding::Row) == matches!(view, RowBinding::Row)
}

/// Whether the contexts have the same names, and the same text where it is a literal.
#[must_use]
pub const fn same_context(model: &ModelSpec, view: &[ContextPart]) -> bool {
    let (mut left, mut right) = (model.context(), view);
    while let ([a, rest_of_left @ ..], [b, rest_of_right @ ..]) = (left, right) {
        let same_value = match (a.literal, b.literal) {
            (Some(a), Some(b)) => same(a, b),
            (None, None) => true,
            _ => false,
        };
        if !same_value || !same(a.name, b.name) {
            return is_erroneous(model);
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
    (left.is_empty() && right.is_empty()) || is_erroneous(model)
}

/// Whether the model's derive reported errors: then a view needs none of its own.
const fn is_erroneous(model: &ModelSpec) -> bool {
    model.name().is_empty()
}

const fn fit_field(model: &FieldSpec, view: &FieldSpec) -> ViewFit {
    match (model.is_sealed(), view.is_sealed()) {
        (true, false) => return ViewFit::IsSealed,
        (false, true) => return ViewFit::IsPlain,
        _ => {}
    }
    if model.level().number() != view.level().number() || model.is_personal() != view.is_personal() {
        return ViewFit::OtherLevel;
    }
    let same_keyring = match (model.keyring(), view.keyring()) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    };
    if !same_keyring {
        return ViewFit::OtherKeyring;
    }
    let same_prefix = match (model.prefix(), view.prefix()) {
        (Some(a), Some(b)) => same(a, b),
        (None, None) => true,
        _ => false,
    };
    let same_column = same_prefix && same(model.column(), view.column());
    let no_wider_mode = (model.mode().can_seal() || !view.mode().can_seal())
        && (model.mode().can_open() || !view.mode().can_open());
    let no_laxer_policy = matches!(view.plaintext(), PlaintextPolicy::Reject)
        || model.plaintext() as u8 == view.plaintext() as u8;
    if !same_column || !no_wider_mode || !no_laxer_policy {
        return ViewFit::OtherRules;
    }
    let same_bucket = match (model.pad(), view.pad()) {
        (Some(a), Some(b)) => a == b,
        (None, None) => true,
        _ => false,
    };
    if !same_bucket || model.was_unpadded() != view.was_unpadded() {
        return ViewFit::OtherPadding;
    }
    if model.legacy().is_some() != view.legacy().is_some() {
        return ViewFit::OtherLegacy;
    }
    if !same_list(model.was(), view.was()) {
        return ViewFit::OtherWas;
    }
    if model.is_in_context() != view.is_in_context() {
        return ViewFit::OtherContext;
    }
    match (model.holds(), view.holds()) {
        (Holds::Plain, Holds::Plain) => ViewFit::Fits,
        (Holds::Value(a), Holds::Value(b)) | (Holds::Values(a), Holds::Values(b))
            if a.number() == b.number() =>
        {
            ViewFit::Fits
        }
        (Holds::Nested(a), Holds::Nested(b)) | (Holds::NestedMany(a), Holds::NestedMany(b)) => {
            fit_nested(a, b)
        }
        _ => ViewFit::OtherType,
    }
}

const fn fit_nested(model: &[FieldSpec], view: &[FieldSpec]) -> ViewFit {
    let mut rest = view;
    while let [field, others @ ..] = rest {
        match find(model, field.name()) {
            Some(other) if matches!(fit_field(other, field), ViewFit::Fits) => {}
            _ => return ViewFit::OtherType,
        }
        rest = others;
    }
    ViewFit::Fits
}

const fn find<'a>(fields: &'a [FieldSpec], name: &str) -> Option<&'a FieldSpec> {
    let mut rest = fields;
    while let [field, others @ ..] = rest {
        if same(field.name(), name) {
            return Some(field);
        }
        rest = others;
    }
    None
}

/// The position of the first id from `start` on, or the length.
const fn next_id(fields: &[FieldSpec], start: usize) -> usize {
    let mut index = start;
    while let Some(field) = get(fields, index) {
        if field.role().is_id() {
            break;
        }
        index += 1;
    }
    index
}

const fn get(fields: &[FieldSpec], index: usize) -> Option<&FieldSpec> {
    match fields.split_at_checked(index) {
        Some((_, [field, ..])) => Some(field),
        _ => None,
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (a.as_bytes(), b.as_bytes());
    while let ([x, rest_of_left @ ..], [y, rest_of_right @ ..]) = (left, right) {
        if *x != *y {
            return false;
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
    left.is_empty() && right.is_empty()
}

const fn same_list(a: &[&str], b: &[&str]) -> bool {
    let (mut left, mut right) = (a, b);
    while let ([x, rest_of_left @ ..], [y, rest_of_right @ ..]) = (left, right) {
        if !same(x, y) {
            return false;
        }
        (left, right) = (rest_of_left, rest_of_right);
    }
    left.is_empty() && right.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TypeCode;

    const EMAIL: FieldSpec = FieldSpec::new("email", "email", Holds::Value(TypeCode::UTF8));

    #[test]
    fn a_view_pads_as_its_model_does() {
        for (model, view, fits) in [
            (EMAIL, EMAIL, true),
            (EMAIL.with_pad(32), EMAIL.with_pad(32), true),
            (EMAIL.with_pad(32), EMAIL, false),
            (EMAIL, EMAIL.with_pad(32), false),
            // shorter buckets would tell the length
            (EMAIL.with_pad(32), EMAIL.with_pad(1), false),
            (EMAIL.with_pad(32).with_unpadded_before(), EMAIL.with_pad(32), false),
        ] {
            assert_eq!(fit_field(&model, &view) == ViewFit::Fits, fits, "{:?} {:?}", model.pad(), view.pad());
        }
    }
}

//! Where a path leads to.

use pii_core::{FieldSpec, Holds};

use super::{
    Guarded,
    guarded::{Code, Field},
    path::{Path, Step},
};

/// What of the guarded attributes a path leads to.
#[derive(Clone, Copy)]
pub(super) enum Target<'a> {
    /// one sealed value
    Value(&'a Field),
    /// a list or map of them, or something in it
    Values(&'a Field),
    /// a nested struct, or a list or map of such
    Struct(&'a Field),
    /// a blind index
    Code(Code),
}

impl<'a> Target<'a> {
    /// Nothing, if nothing guarded is there.
    ///
    /// How deep collections of structs are nested is not known, and a key of a map may have the name of a
    /// field. What is sealed in one reading of a path counts as sealed.
    pub(super) fn of(guarded: &'a Guarded, path: &Path) -> Option<Self> {
        let code = guarded.codes().find(|code| code.attribute == path.attribute).map(Self::Code);
        code.or_else(|| follow(guarded.fields(), &path.attribute, &path.steps))
    }
}

fn follow<'a>(fields: &'a [Field], name: &str, steps: &[Step]) -> Option<Target<'a>> {
    let field = fields.iter().find(|field| field.attribute() == name)?;
    match (field.spec.holds(), steps) {
        (Holds::Plain, _) => None,
        (Holds::Value(_), _) => Some(Target::Value(field)),
        (Holds::Values(_), _) => Some(Target::Values(field)),
        (Holds::Nested(_), [Step::Name(name), steps @ ..]) => follow(&field.inner, name, steps),
        (Holds::Nested(_), _) => Some(Target::Struct(field)),
        (Holds::NestedMany(specs), _) => into_collection(field, specs, steps),
    }
}

fn into_collection<'a>(field: &'a Field, specs: &[FieldSpec], steps: &[Step]) -> Option<Target<'a>> {
    let mut is_plain = false;
    // the first step is a key or a position
    let mut rest = steps.get(1..).unwrap_or_default();
    while let [step, after @ ..] = rest {
        if let Step::Name(name) = step
            && specs.iter().any(|spec| spec.attribute() == name)
        {
            match follow(&field.inner, name, after) {
                None => is_plain = true,
                found => return found,
            }
        }
        rest = after;
    }
    if is_plain { None } else { Some(Target::Struct(field)) }
}

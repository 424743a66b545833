//! What documents of one name have in common with a model, and what is sealed in them with a field.

use std::sync::{Mutex, PoisonError};

use crate::model::{FieldSpec, Holds, Level, ModelSpec, RowBinding, TypeCode};

/// The name of the field that all values of a document belong to: part of the format.
const FIELD: &str = "document";

/// The facts of a kind of documents. Models have theirs from the compiler; here each different one is
/// kept for the time of the process. Names are `'static`, so a program has only a few.
pub(super) fn model(name: &'static str, was: &'static [&'static str]) -> &'static ModelSpec {
    static KNOWN: Mutex<Vec<&'static ModelSpec>> = Mutex::new(Vec::new());
    kept(
        &KNOWN,
        |known| known.name() == name && known.was() == was,
        || ModelSpec::new(name, &[], RowBinding::Row).with_was(was),
    )
}

/// The facts of what is sealed in documents.
pub(super) fn field(level: Level, keyring: Option<&'static str>) -> &'static FieldSpec {
    static KNOWN: Mutex<Vec<&'static FieldSpec>> = Mutex::new(Vec::new());
    kept(
        &KNOWN,
        |known| known.level() == level && known.keyring() == keyring,
        || {
            let field = FieldSpec::new(FIELD, FIELD, Holds::Values(TypeCode::JSON)).with_level(level);
            match keyring {
                Some(keyring) => field.with_keyring(keyring),
                None => field,
            }
        },
    )
}

fn kept<T>(
    known: &Mutex<Vec<&'static T>>,
    is_same: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
) -> &'static T {
    let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
    match known.iter().find(|known| is_same(known)) {
        Some(known) => known,
        None => {
            let new: &'static T = Box::leak(Box::new(new()));
            known.push(new);
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_facts_are_kept_once() {
        assert!(std::ptr::eq(model("invoice", &[]), model("invoice", &[])));
        assert!(!std::ptr::eq(model("invoice", &[]), model("invoice", &["bill"])));
        assert!(std::ptr::eq(field(Level::Two, Some("high")), field(Level::Two, Some("high"))));
        assert!(!std::ptr::eq(field(Level::Two, None), field(Level::Three, None)));
    }
}

//! Types that may stand in a sealed field.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use super::{Holds, Walk, WalkMut};
use crate::mask::{FULL, Mask};

/// A type with sealed values in it: `Encrypted<T>`, an `Option` or `Box` of one, a list or map of
/// them, or a nested struct with `#[derive(PiiModel)] #[pii(nested)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a sealed field",
    label = "must be `EncryptedStr` or `Encrypted<T>`, or an `Option`, `Box`, `Vec`, `HashMap<String, _>` or \
             `BTreeMap<String, _>` of one",
    note = "to seal a collection or struct whole, use `Encrypted<Json<...>>`; to leave a field out, write `#[pii(skip)]`"
)]
pub trait PiiField {
    /// What the type holds.
    const HOLDS: Holds;

    /// As [`PiiValue::PAD`](crate::PiiValue) of its values.
    #[doc(hidden)]
    const PAD: Option<u32> = None;

    /// Visits every value.
    fn visit<'a>(&'a self, walk: &mut Walk<'a>);

    /// Visits every value in the same order, to change it.
    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>);

    /// Writes the field as this mask shows it.
    ///
    /// # Errors
    /// Those of the formatter.
    fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

struct Masked<'a, T>(&'a T, Mask);

impl<T: PiiField> fmt::Debug for Masked<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_masked(self.1, f)
    }
}

/// In place of a map's key, which may be personal too.
struct HiddenKey;

impl fmt::Debug for HiddenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(FULL)
    }
}

impl<T: PiiField> PiiField for Option<T> {
    const HOLDS: Holds = T::HOLDS;
    const PAD: Option<u32> = T::PAD;

    fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
        if let Some(value) = self {
            value.visit(walk);
        }
    }

    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) {
        if let Some(value) = self {
            value.visit_mut(walk);
        }
    }

    fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => f.debug_tuple("Some").field(&Masked(value, mask)).finish(),
            None => f.write_str("None"),
        }
    }
}

impl<T: PiiField> PiiField for Box<T> {
    const HOLDS: Holds = T::HOLDS;
    const PAD: Option<u32> = T::PAD;

    fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
        (**self).visit(walk);
    }

    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) {
        (**self).visit_mut(walk);
    }

    fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt_masked(mask, f)
    }
}

impl<T: PiiField> PiiField for Vec<T> {
    const HOLDS: Holds = T::HOLDS.many();
    const PAD: Option<u32> = T::PAD;

    fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
        for value in self {
            walk.element(|walk| value.visit(walk));
        }
    }

    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) {
        for value in self {
            value.visit_mut(walk);
        }
    }

    fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|value| Masked(value, mask))).finish()
    }
}

macro_rules! maps {
    ($($map:ident<String, T $(, $hasher:ident)?>),*) => {$(
        impl<T: PiiField $(, $hasher)?> PiiField for $map<String, T $(, $hasher)?> {
            const HOLDS: Holds = T::HOLDS.many();
            const PAD: Option<u32> = T::PAD;

            fn visit<'a>(&'a self, walk: &mut Walk<'a>) {
                for (key, value) in self {
                    walk.key(key, |walk| value.visit(walk));
                }
            }

            fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>) {
                for value in self.values_mut() {
                    value.visit_mut(walk);
                }
            }

            fn fmt_masked(&self, mask: Mask, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_map().entries(self.values().map(|value| (HiddenKey, Masked(value, mask)))).finish()
            }
        }
    )*};
}
maps!(HashMap<String, T, S>, BTreeMap<String, T>);

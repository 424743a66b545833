//! Whether a field holds what the derive took it to hold by its tokens.
#![allow(clippy::panic, reason = "constants panic at compile time")]

use crate::model::{Holds, TypeCode};

/// # Panics
/// At compile time.
#[track_caller]
pub const fn one_value(holds: Holds) {
    match holds {
        Holds::Value(_) | Holds::Plain => {}
        Holds::Values(_) | Holds::NestedMany(_) => {
            panic!(
                "an alias hides that this field holds several values: write its type out, such as `Vec<EncryptedStr>`"
            )
        }
        Holds::Nested(_) => panic!("this field holds a nested struct: mark it `#[pii(nested)]`"),
    }
}

/// # Panics
/// At compile time.
#[track_caller]
pub const fn many_values(holds: Holds) {
    if let Holds::Value(_) | Holds::Nested(_) = holds {
        panic!("this type has the name of a collection but holds one value: give it another name");
    }
}

/// # Panics
/// At compile time.
#[track_caller]
pub const fn nested_struct(holds: Holds) {
    if let Holds::Value(_) | Holds::Values(_) = holds {
        panic!("this field holds no nested struct: remove `nested`");
    }
}

/// # Panics
/// At compile time.
#[track_caller]
pub const fn normalized_text(holds: Holds) {
    if let Holds::Value(code) = holds
        && code.number() != TypeCode::UTF8.number()
    {
        panic!("only text can be normalised: remove `normalize`");
    }
}

/// # Panics
/// At compile time.
#[track_caller]
pub const fn padded_value(holds: Holds) {
    if let Holds::Value(code) | Holds::Values(code) = holds
        && !matches!(code.number(), 1 | 2 | 6 | 13)
    {
        panic!("all values of this type are equally long: remove `pad`");
    }
}

/// # Panics
/// At compile time.
#[track_caller]
pub const fn legacy_text(holds: Holds) {
    if let Holds::Value(code) | Holds::Values(code) = holds
        && !matches!(code.number(), 1 | 6)
    {
        panic!("values of other systems are text: `legacy` is for text and JSON");
    }
}

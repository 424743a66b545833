//! Enums, sealed as the names of their variants.

use super::{
    encoding,
    padding::bucket_of,
    pii_value::{PiiValue, does_not_fit, wrong_type},
};
use crate::{error::Result, secret::SecretBytes};

/// An enum of unit variants that can be sealed; implemented by `#[derive(PiiEnum)]`.
///
/// A variant is sealed as its stable name, so variants can be added and put in another order. Names are padded to
/// the longest one, so that the length does not tell them apart; a field's own `pad` takes the place of that.
pub trait PiiEnum: PiiValue + Sized {
    /// The stable names, in the order of the variants.
    const NAMES: &'static [&'static str];

    /// The stable name of this variant.
    fn name(&self) -> &'static str;

    /// The variant of this name, or of one that it had earlier.
    fn from_name(name: &str) -> Option<Self>;
}

/// The bucket in which every name of an enum has room.
#[must_use]
pub const fn enum_bucket(mut names: &[&str]) -> u32 {
    let mut longest = 0;
    while let [name, others @ ..] = names {
        if name.len() > longest {
            longest = name.len();
        }
        names = others;
    }
    bucket_of(longest)
}

/// What the derive's `PiiScalar` does.
pub fn enum_bytes<E: PiiEnum>(value: &E) -> SecretBytes {
    SecretBytes::copy_from(value.name().as_bytes())
}

/// What the derive's `decode` does.
///
/// # Errors
/// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed) for what is no name, or none of this enum.
pub fn enum_value<E: PiiEnum>(bytes: &[u8]) -> Result<E> {
    let name = std::str::from_utf8(bytes).ok().filter(|name| !name.is_empty());
    E::from_name(name.ok_or_else(|| wrong_type(E::TYPE))?).ok_or_else(|| {
        does_not_fit(E::TYPE).message("the enum has no variant of the name inside").help(
            "if the variant was renamed, write `#[pii(was = \"...\")]` on it; the sealed value is unharmed",
        )
    })
}

/// What the derive's `check` does.
#[must_use]
pub fn is_enum(bytes: &[u8]) -> bool {
    encoding::is_enum(bytes)
}

/// What the derive's `from_plaintext` does: the name of today.
#[must_use]
pub fn enum_from_plaintext<E: PiiEnum>(text: &str) -> Option<SecretBytes> {
    E::from_name(text).map(|value| enum_bytes(&value))
}

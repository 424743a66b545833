//! Enums, sealed as the names of their variants.

use super::pii_value::PiiValue;

/// An enum of unit variants that can be sealed; implemented by `#[derive(PiiEnum)]`.
///
/// A variant is sealed as its stable name, so variants can be added and put in another order. Longer names give
/// longer values: where the length must not tell them apart, pad the field.
pub trait PiiEnum: PiiValue + Sized {
    /// The stable names, in the order of the variants.
    const NAMES: &'static [&'static str];

    /// The stable name of this variant.
    fn name(&self) -> &'static str;

    /// The variant of this name, or of one that it had earlier.
    fn from_name(name: &str) -> Option<Self>;
}

//! Models as they are shown: in clear where the program says so, masked everywhere else.

pub mod masked;
mod masked_view;
mod object;
pub mod revealed;
mod skipped;

pub use masked::Masked;
pub use masked_view::MaskedView;
pub use revealed::{Revealed, RevealedField, RevealedOrMasked};

use crate::{
    error::Error,
    mask::{FULL, Mask},
    model::{ModelSpec, PathStep, PiiModel, Slot, TypeCode, Walk},
    secret::SecretBytes,
    value::{Shown, ShownValues, not_shown},
};

/// What becomes of values whose plaintext is not known.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unopened {
    Refuse,
    Mask,
}

/// All values of a model in clear.
fn in_clear<M: PiiModel>(model: &M, unopened: Unopened) -> Result<ShownValues, Error> {
    let mut walk = Walk::default();
    model.visit(&mut walk);
    let mut values = ShownValues::default();
    for slot in walk.slots() {
        let shown = match slot.cell.plain() {
            Some(_) => Shown::InClear(slot.ops),
            None if unopened == Unopened::Mask => Shown::Masked(FULL.to_owned()),
            None => return Err(not_shown().field(M::MODEL.name(), &path(&walk, slot))),
        };
        values.add(slot.cell, shown);
    }
    Ok(values)
}

/// All values of a model, each by the mask of its field.
fn masked_values<M: PiiModel>(model: &M) -> ShownValues {
    let mut walk = Walk::default();
    model.visit(&mut walk);
    let mut values = ShownValues::default();
    for slot in walk.slots() {
        values.add(slot.cell, Shown::Masked(masked_text(slot, slot.field.mask())));
    }
    values
}

/// A value as a mask shows it: in full, unless its plaintext is known and text.
fn masked_text(slot: &Slot<'_>, mask: Mask) -> String {
    let text = slot.cell.plain().filter(|_| slot.ops.code == TypeCode::UTF8).map(SecretBytes::expose);
    let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.map_or_else(|| FULL.to_owned(), |text| mask.apply(text))
}

/// Stable names, joined by dots. Keys of maps may be personal, so they are left out.
fn path<'a>(walk: &Walk<'a>, slot: &Slot<'a>) -> String {
    let names = walk.path(slot).iter().filter_map(|step| match step {
        PathStep::Field(field) => Some(field.name()),
        PathStep::Key(_) | PathStep::Element | PathStep::Node(_) => None,
    });
    names.collect::<Vec<_>>().join(".")
}

/// An error that names the model, if it did not before.
fn of_model(model: &ModelSpec) -> impl Fn(Error) -> Error {
    let name = model.name();
    move |error| error.model(name)
}

//! What the values of a field share in one batch, so that it is worked out once and not for each row.

use super::place::{StampHasher, ValuePlace};
use crate::value::Place;

/// Of models with more sealed fields than this, some of it is worked out for each row.
const KEPT: usize = 16;

/// Something about fields, each in the context of the value that it was noted for last.
pub(super) struct ByField<'a, T> {
    known: Vec<Known<'a, T>>,
    next: usize,
}

/// What was noted for a field.
pub(super) struct Known<'a, T> {
    /// of the value that it was noted for
    pub(super) place: ValuePlace<'a>,
    pub(super) what: T,
}

impl<T> Default for ByField<'_, T> {
    fn default() -> Self {
        Self { known: Vec::new(), next: 0 }
    }
}

impl<'a, T> ByField<'a, T> {
    /// What was noted for the field of this place, maybe in another context.
    #[inline]
    pub(super) fn find(&mut self, place: &ValuePlace<'a>) -> Option<&mut Known<'a, T>> {
        // fields come round in the same order for each row
        let at = match self.known.get(self.next) {
            Some(known) if known.place.shares_head_with(place) => self.next,
            _ => self.known.iter().position(|known| known.place.shares_head_with(place))?,
        };
        self.next = if at + 1 < self.known.len() { at + 1 } else { 0 };
        self.known.get_mut(at)
    }

    /// Notes something that is not known yet.
    pub(super) fn note(&mut self, place: &ValuePlace<'a>, what: impl FnOnce() -> T) {
        if self.known.len() < KEPT && place.shares_head_with(place) {
            self.known.push(Known { place: *place, what: what() });
        }
    }
}

/// Stamps places.
#[derive(Default)]
pub(super) struct Stamps<'a>(ByField<'a, StampHasher>);

impl<'a> Stamps<'a> {
    /// As [`ValuePlace::stamp`].
    #[inline]
    pub(super) fn of(&mut self, place: &ValuePlace<'a>) -> Place {
        match self.0.find(place) {
            Some(known) => {
                if !known.place.shares_context_with(place) {
                    *known = Known { place: *place, what: place.front_hash() };
                }
                place.stamp_after(&known.what)
            }
            None => {
                let front = place.front_hash();
                let stamp = place.stamp_after(&front);
                self.0.note(place, || front);
                stamp
            }
        }
    }
}

//! Heads of associated data, which all values of a field share under one key.

use super::super::fields::ByField;
use crate::{
    cryptor::ValuePlace,
    wire::{Envelope, KeyId},
};

/// The heads of the fields of one batch under one key.
pub(super) struct Heads<'a> {
    envelope: Envelope,
    known: ByField<'a, Head>,
}

struct Head {
    /// everything but the row's id
    bytes: Vec<u8>,
    /// where the context begins
    context: usize,
}

impl<'a> Heads<'a> {
    pub(super) fn of(envelope: Envelope) -> Self {
        Self { envelope, known: ByField::default() }
    }

    pub(super) fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Writes the associated data of a value into `out`, replacing it.
    #[inline]
    pub(super) fn write(&mut self, place: &ValuePlace<'a>, key_id: KeyId, out: &mut Vec<u8>) {
        out.clear();
        match self.known.find(place) {
            Some(known) => {
                if !known.place.shares_context_with(place) {
                    known.place = *place;
                    known.what.move_to(place);
                }
                out.extend_from_slice(&known.what.bytes);
            }
            None => {
                place.write_head(self.envelope, key_id, out);
                let context = out.len();
                out.extend_from_slice(place.context().canonical_bytes());
                self.known.note(place, || Head { bytes: out.clone(), context });
            }
        }
        out.extend_from_slice(place.id());
    }
}

impl Head {
    /// The same head in the context of this place.
    fn move_to(&mut self, place: &ValuePlace<'_>) {
        self.bytes.truncate(self.context);
        self.bytes.extend_from_slice(place.context().canonical_bytes());
    }
}

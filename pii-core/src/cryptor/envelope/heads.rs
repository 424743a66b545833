//! Heads of associated data, which all values of a field share under one key.

use crate::{
    cryptor::ValuePlace,
    wire::{Envelope, KeyId},
};

/// Models with more sealed fields than this encode some heads anew.
const KEPT: usize = 16;

/// The heads of the fields of one batch under one key.
pub(super) struct Heads<'a> {
    envelope: Envelope,
    known: Vec<(ValuePlace<'a>, Vec<u8>)>,
    next: usize,
}

impl<'a> Heads<'a> {
    pub(super) fn of(envelope: Envelope) -> Self {
        Self { envelope, known: Vec::new(), next: 0 }
    }

    pub(super) fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// Writes the associated data of a value into `out`, replacing it.
    #[inline]
    pub(super) fn write(&mut self, place: &ValuePlace<'a>, key_id: KeyId, out: &mut Vec<u8>) {
        out.clear();
        // fields come round in the same order for each row
        let at_next = self.known.get(self.next).filter(|(known, _)| known.shares_head_with(place));
        let index = match at_next {
            Some(_) => Some(self.next),
            None => self.known.iter().position(|(known, _)| known.shares_head_with(place)),
        };
        match index.and_then(|index| self.known.get(index)) {
            Some((_, head)) => {
                out.extend_from_slice(head);
                self.next = index.map_or(0, |index| index + 1);
                if self.next >= self.known.len() {
                    self.next = 0;
                }
            }
            None => {
                place.write_head(self.envelope, key_id, out);
                if self.known.len() < KEPT {
                    self.known.push((*place, out.clone()));
                }
            }
        }
        out.extend_from_slice(place.tail());
    }
}

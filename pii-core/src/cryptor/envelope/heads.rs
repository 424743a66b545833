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
        match self.known.get(self.next) {
            Some((known, head)) if known.shares_head_with(place) => {
                out.extend_from_slice(head);
                self.next = if self.next + 1 < self.known.len() { self.next + 1 } else { 0 };
            }
            _ => self.find(place, key_id, out),
        }
        out.extend_from_slice(place.tail());
    }

    /// Writes a head that is not the next.
    fn find(&mut self, place: &ValuePlace<'a>, key_id: KeyId, out: &mut Vec<u8>) {
        let found = self.known.iter().zip(1..).find(|((known, _), _)| known.shares_head_with(place));
        if let Some(((_, head), next)) = found {
            out.extend_from_slice(head);
            self.next = if next < self.known.len() { next } else { 0 };
            return;
        }
        place.write_head(self.envelope, key_id, out);
        if self.known.len() < KEPT {
            self.known.push((*place, out.clone()));
        }
    }
}

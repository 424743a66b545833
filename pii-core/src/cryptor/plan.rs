//! What is to be done with values before they can be stored.

use std::{ops::Range, sync::Arc};

use super::{
    Cryptor, FieldSelection,
    backend::{OpenItem, SealItem},
    legacy::{LegacyCodec, LegacyOpen, LegacySeal},
    place::{RowPlaces, ValuePlace},
    rules::Rules,
    seal::{not_encrypted, too_few, wrong_place},
};
use crate::{
    audit::{AuditEvent, Operation},
    error::{Error, ErrorKind, Result},
    model::{PlaintextPolicy, Walk},
    secret::SecretBytes,
    value::{Cell, padded, wrong_type},
    wire::{Ciphertext, MAX_PLAINTEXT_BYTES, PREFIX},
};

/// What is to be done with one slot before it can be stored.
pub(super) enum Plan<'a> {
    WriteBack(&'a Ciphertext),
    /// Of another system and unknown origin.
    WriteBackLegacy(&'a Ciphertext, &'a Arc<dyn LegacyCodec>),
    Seal(&'a SecretBytes),
    /// What stands in the place of the value: padded, or read from stored plaintext.
    SealOther(SecretBytes),
    SealLegacy(&'a SecretBytes, &'a Arc<dyn LegacyCodec>),
    /// The value as text.
    Plaintext(SecretBytes),
}

/// What is to be done with the values of a batch.
#[derive(Default)]
pub(super) struct Planned<'p, 'a> {
    pub(super) to_seal: Vec<SealItem<'p>>,
    pub(super) to_verify: Vec<OpenItem<'p>>,
    pub(super) legacy_to_seal: Vec<LegacySeal<'p>>,
    pub(super) legacy_to_verify: Vec<LegacyOpen<'p>>,
    /// what is not simply sealed, by its number among the values
    pub(super) others: Vec<(usize, Plan<'a>)>,
    /// which items to seal have their bytes in which of the others
    pub(super) in_others: Vec<(usize, usize)>,
    pub(super) events: Vec<AuditEvent>,
}

impl Cryptor {
    /// Decides what to do with the chosen values of these rows. No part of the future that waits for
    /// keys: its variables would be memory, and this runs for every value.
    pub(super) fn plan_rows<'p, 'a: 'p>(
        &self,
        rules: &Rules<'a>,
        places: &'p RowPlaces,
        walk: &'p Walk<'a>,
        rows: &[(usize, Range<usize>)],
        fields: &FieldSelection,
        planned: &mut Planned<'p, 'a>,
    ) -> Result<()> {
        let mut number = 0;
        planned.to_seal.reserve_exact(walk.slots().len());
        for (row, slots) in rows {
            let slots = walk.slots().get(slots.clone()).unwrap_or_default();
            for slot in slots.iter().filter(|slot| fields.wants(walk, slot)) {
                let place = places.place(*row, walk, slot).ok_or_else(too_few)?;
                match self.plan(rules, &place, slot.cell) {
                    Ok(Plan::Seal(plain)) => {
                        planned.to_seal.push(SealItem { place, plaintext: plain.expose() })
                    }
                    Ok(plan) => self.plan_other(place, slot.cell, number, plan, planned),
                    Err(error) => {
                        if self.is_audited() {
                            planned.events.push(self.event(
                                Operation::Seal,
                                &place,
                                None,
                                Some(error.kind()),
                            ));
                        }
                        return Err(place.locate(error));
                    }
                }
                number += 1;
            }
        }
        Ok(())
    }

    /// Notes what is to be done with a value that is not simply sealed.
    fn plan_other<'p, 'a: 'p>(
        &self,
        place: ValuePlace<'p>,
        cell: &Cell,
        number: usize,
        plan: Plan<'a>,
        planned: &mut Planned<'p, 'a>,
    ) {
        match plan {
            // its bytes stand in the plan, which is still on its way
            Plan::SealOther(_) => {
                planned.in_others.push((planned.to_seal.len(), planned.others.len()));
                planned.to_seal.push(SealItem { place, plaintext: &[] });
            }
            Plan::SealLegacy(plain, codec) => {
                planned.legacy_to_seal.push(LegacySeal { place, plaintext: plain.expose(), codec });
            }
            Plan::WriteBackLegacy(text, codec) => {
                planned.legacy_to_verify.push(LegacyOpen { place, text, codec });
            }
            Plan::WriteBack(text) if !cell.is_stamped() => planned.to_verify.push(OpenItem { place, text }),
            Plan::WriteBack(_) | Plan::Seal(_) | Plan::Plaintext(_) => {}
        }
        if matches!(cell, Cell::Legacy(_)) {
            self.counters.plaintexts_accepted(1);
            if self.is_audited() {
                planned.events.push(self.event(Operation::AcceptPlaintext, &place, None, None));
            }
        }
        planned.others.push((number, plan));
    }

    /// Decides what to do with a value; whatever is refused is refused before any key is asked for.
    #[inline]
    pub(super) fn plan<'a>(
        &self,
        rules: &Rules<'a>,
        place: &ValuePlace<'_>,
        cell: &'a Cell,
    ) -> Result<Plan<'a>> {
        let field = place.field();
        match cell {
            Cell::Plain(plain) => self.plan_plain(rules, place, plain),
            // a plain value has its type from the program; stored text has to prove it, for what a
            // reader would refuse is not written
            Cell::Legacy(text) if rules.plaintext(place) != PlaintextPolicy::Reject => {
                let accepted = place.ops().accepted(text)?;
                self.check_plain(place, &accepted)?;
                match (rules.plaintext(place), rules.legacy_writer(place)?, place.bucket()) {
                    (PlaintextPolicy::Prepare, ..) => plan_plaintext(place, &accepted),
                    (_, Some(codec), _) => Ok(Plan::SealLegacy(text, codec)),
                    (_, None, None) => Ok(Plan::SealOther(accepted)),
                    (_, None, Some(bucket)) => plan_padded(&accepted, bucket),
                }
            }
            Cell::Legacy(_) => Err(not_encrypted()),
            Cell::Sealed { text, place: Some(from) } | Cell::Opened { text, place: Some(from), .. } => {
                if *from != place.stamp() {
                    return Err(wrong_place());
                }
                if text.is_foreign() {
                    rules.legacy_form(place, text)?;
                }
                Ok(Plan::WriteBack(text))
            }
            Cell::Foreign(text)
            | Cell::Sealed { text, place: None }
            | Cell::Opened { text, place: None, .. } => {
                let reader = if text.is_foreign() { Some(rules.legacy_form(place, text)?) } else { None };
                if !field.mode().can_open() || !self.mode.can_open() {
                    return Err(Error::new(ErrorKind::Mode)
                        .message("a sealed value of unknown origin cannot be verified in WriteOnly mode")
                        .help("load the row through a table or `.decrypt_pii()`, which note where values come from"));
                }
                Ok(match reader {
                    Some(codec) => Plan::WriteBackLegacy(text, codec),
                    None => Plan::WriteBack(text),
                })
            }
            Cell::Malformed(error) => Err((*error).into()),
        }
    }

    #[inline]
    fn plan_plain<'a>(
        &self,
        rules: &Rules<'a>,
        place: &ValuePlace<'_>,
        plain: &'a SecretBytes,
    ) -> Result<Plan<'a>> {
        self.check_plain(place, plain)?;
        if rules.plaintext(place) == PlaintextPolicy::Prepare {
            return plan_plaintext(place, plain);
        }
        match (rules.legacy_writer(place)?, place.bucket()) {
            (Some(codec), _) => Ok(Plan::SealLegacy(plain, codec)),
            (None, None) => Ok(Plan::Seal(plain)),
            (None, Some(bucket)) => plan_padded(plain, bucket),
        }
    }

    #[inline]
    fn check_plain(&self, place: &ValuePlace<'_>, plain: &SecretBytes) -> Result<()> {
        if !place.field().mode().can_seal() || !self.mode.can_seal() {
            return Err(Error::new(ErrorKind::Mode).message("Cannot encrypt in ReadOnly mode"));
        }
        if plain.expose().len() > MAX_PLAINTEXT_BYTES {
            return Err(too_large());
        }
        Ok(())
    }
}

fn plan_padded<'a>(plain: &SecretBytes, bucket: u32) -> Result<Plan<'a>> {
    padded(plain, bucket).map(Plan::SealOther).ok_or_else(too_large)
}

/// A value that is stored as plaintext.
fn plan_plaintext<'a>(place: &ValuePlace<'_>, plain: &SecretBytes) -> Result<Plan<'a>> {
    let text = (place.ops().to_plaintext)(plain.expose()).ok_or_else(|| wrong_type(place.type_code()))?;
    // an ENC: text in a plaintext column would be taken for a sealed value by every reader
    if text.expose().starts_with(PREFIX.as_bytes()) {
        return Err(Error::new(ErrorKind::State).message(
            "text that begins with `ENC:` cannot be stored as plaintext under the policy `prepare`",
        ));
    }
    match std::str::from_utf8(text.expose()) {
        Ok(_) => Ok(Plan::Plaintext(text)),
        Err(_) => Err(wrong_type(place.type_code())),
    }
}

#[cold]
fn too_large() -> Error {
    Error::new(ErrorKind::TooLarge)
        .message(format!("at most {MAX_PLAINTEXT_BYTES} bytes can be sealed, what pads them included"))
}

//! What a job needs that moves a table from plaintext to sealed values, or back.

use std::collections::BTreeMap;

use super::{Cryptor, place::RowPlaces};
use crate::{
    error::Result,
    model::{ModelSpec, PathStep, PiiModel, PlaintextPolicy, Walk, WalkMut, sealed_fields},
    value::Cell,
};

/// How many values of a field are in which form, as they are stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateCounts {
    /// Text that is not sealed.
    pub plaintext: u64,
    /// Sealed, as far as can be told without a key.
    pub sealed: u64,
    /// `ENC:` of another version, such as that of another system.
    pub foreign: u64,
    /// `ENC:` and no value.
    pub malformed: u64,
}

impl StateCounts {
    /// Adds the values of these models to the counts of their fields. The fields go by their stable names,
    /// those of nested structs joined by dots; a field without a value in any model is not there.
    ///
    /// The models are to be as the database gave them: once they were loaded through a table, accepted
    /// plaintext can't be told from values that the program set, and both count as plaintext.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{PiiModel, StateCounts};
    /// use std::collections::BTreeMap;
    ///
    /// # fn count<Customer: PiiModel>(rows: &[Customer]) {
    /// let mut counts = BTreeMap::new();
    /// StateCounts::add(rows, &mut counts);
    /// let left: u64 = counts.values().map(|field: &StateCounts| field.plaintext).sum();
    /// # }
    /// ```
    pub fn add<'a, M: PiiModel + 'a>(
        models: impl IntoIterator<Item = &'a M>,
        counts: &mut BTreeMap<String, Self>,
    ) {
        let mut path = String::new();
        for model in models {
            let mut walk = Walk::default();
            model.visit(&mut walk);
            for slot in walk.slots() {
                path.clear();
                for step in walk.path(slot).iter() {
                    let PathStep::Field(field) = step else { continue };
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.push_str(field.name());
                }
                if !counts.contains_key(&path) {
                    counts.insert(path.clone(), Self::default());
                }
                if let Some(field) = counts.get_mut(&path) {
                    field.count(slot.cell);
                }
            }
        }
    }

    /// All of them together.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.plaintext + self.sealed + self.foreign + self.malformed
    }

    fn count(&mut self, cell: &Cell) {
        *match cell {
            Cell::Plain(_) | Cell::Legacy(_) => &mut self.plaintext,
            Cell::Sealed { .. } | Cell::Opened { .. } => &mut self.sealed,
            Cell::Foreign(_) => &mut self.foreign,
            Cell::Malformed(_) => &mut self.malformed,
        } += 1;
    }
}

impl Cryptor {
    /// What happens to stored plaintext of each sealed field at this moment: what is set at run time, or
    /// else what the derive says. Fields of nested structs are `address.street`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if something is set that the model can't
    /// have.
    pub fn plaintext_policies(&self, model: &'static ModelSpec) -> Result<Vec<(String, PlaintextPolicy)>> {
        let rules = self.rules(model)?;
        let mut policies = Vec::new();
        sealed_fields(model.fields(), &mut |path, field| {
            policies.push((path.to_owned(), rules.plaintext_of(field, |other| other == path)));
        });
        Ok(policies)
    }

    /// Makes every opened value plain whose field has the policy `prepare`: saved after this, the models are
    /// written with their plaintext. This is the way back for programs that know nothing of sealing. Says how
    /// many values there were. Models outside the scope stay as they are: they can't be saved either.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if something is set that the model can't
    /// have; the error of an invalid scope. The models are unchanged then.
    pub fn reseal_prepared<M: PiiModel>(&self, models: &mut [M]) -> Result<u64> {
        let rules = self.rules(M::MODEL)?;
        let scope = self.usable_scope()?;
        let mut places = RowPlaces::with_capacity(models.len());
        let mut prepared = Vec::with_capacity(models.len());
        for model in models.iter() {
            let Ok(row) = places.add(model, scope) else {
                prepared.push(Vec::new());
                continue;
            };
            let mut walk = Walk::default();
            model.visit(&mut walk);
            let of_row: Vec<bool> = walk
                .slots()
                .iter()
                .map(|slot| {
                    let place = places.place(row, &walk, slot);
                    place.is_some_and(|place| rules.plaintext(&place) == PlaintextPolicy::Prepare)
                })
                .collect();
            prepared.push(of_row);
        }
        let mut made_plain = 0;
        for (model, prepared) in models.iter_mut().zip(prepared) {
            let mut walk = WalkMut::default();
            model.visit_mut(&mut walk);
            for (cell, _) in walk.cells.into_iter().zip(prepared).filter(|(_, is_prepared)| *is_prepared) {
                made_plain += u64::from(cell.forget_text());
            }
        }
        Ok(made_plain)
    }
}

//! What holds for the fields of a model during one batch: what the derive says, and what is set at run
//! time instead.

use std::sync::Arc;

use super::{
    Cryptor,
    legacy::{Legacies, LegacyCodec},
    place::ValuePlace,
};
use crate::{
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, ModelSpec, PlaintextPolicy},
    policies::{CurrentPolicies, FieldPolicies, LegacyPolicy},
    wire::{Ciphertext, FormatError},
};

/// The policies of one model, as they are at the beginning of a batch: a batch is not cut in two by a
/// switch.
pub(super) struct Rules<'a> {
    model: &'static ModelSpec,
    policies: CurrentPolicies,
    legacies: &'a Legacies,
}

impl Cryptor {
    /// The same cryptor under policies that can be switched while the program runs. They take the place of
    /// those given before.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # fn with(cryptor: pii::Cryptor) {
    /// let policies = pii::FieldPolicies::new();
    /// let cryptor = cryptor.with_policies(&policies);
    /// policies.set("customer", "email", pii::PlaintextPolicy::AcceptAndSeal);
    /// # }
    /// ```
    #[must_use]
    pub fn with_policies(&self, policies: &FieldPolicies) -> Self {
        Self { policies: Some(policies.clone()), ..self.clone() }
    }

    /// What holds for the fields of a model at this moment: what is set at run time, or else what the derive
    /// says.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if something is set that the model can't have.
    pub fn current_policies(&self, model: &ModelSpec) -> Result<CurrentPolicies> {
        self.policies.as_ref().map_or_else(|| Ok(CurrentPolicies::default()), |set| set.current(model))
    }

    /// The rules for a model from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if something is set that the model can't have.
    pub(super) fn rules(&self, model: &'static ModelSpec) -> Result<Rules<'_>> {
        self.legacies.check(model)?;
        Ok(Rules { model, policies: self.current_policies(model)?, legacies: &self.legacies })
    }
}

impl<'a> Rules<'a> {
    /// What happens to stored plaintext at this place.
    #[inline]
    pub(super) fn plaintext(&self, place: &ValuePlace<'_>) -> PlaintextPolicy {
        self.plaintext_of(place.field(), |path| place.is_at(path))
    }

    /// As [`Rules::plaintext`], for a field whose path `is_it` knows.
    #[inline]
    pub(super) fn plaintext_of(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> PlaintextPolicy {
        self.policies.plaintext_of(field, is_it)
    }

    /// Who reads a value of another system at this place.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownVersion`] where none is expected, or none any more;
    /// [`ErrorKind::Configuration`] where nobody can read it.
    fn legacy_reader(&self, place: &ValuePlace<'_>) -> Result<&'a Arc<dyn LegacyCodec>> {
        let is_it = |path: &str| place.is_at(path);
        match self.legacy_policy(place.field(), is_it) {
            None => Err(FormatError::UnknownVersion.into()),
            Some(LegacyPolicy::Reject) => Err(Error::new(ErrorKind::UnknownVersion)
                .message("the value is in the form of another system, which the field's policy rejects")
                .help("if there are such values still, set `LegacyPolicy::ReadAndSeal` for the field")),
            Some(LegacyPolicy::ReadAndWrite | LegacyPolicy::ReadAndSeal) => self.codec(place.field(), is_it),
        }
    }

    /// Who reads this text, which has the structure of the form that is expected at this place.
    ///
    /// # Errors
    /// As [`Rules::legacy_reader`]; [`ErrorKind::Malformed`] or [`ErrorKind::UnknownVersion`] for another text.
    pub(super) fn legacy_form(
        &self,
        place: &ValuePlace<'_>,
        text: &Ciphertext,
    ) -> Result<&'a Arc<dyn LegacyCodec>> {
        let reader = self.legacy_reader(place)?;
        reader.check(text.as_str())?;
        Ok(reader)
    }

    /// Who writes new values at this place in the form of another system; `None` where they are sealed in
    /// ours.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] where nobody can write them.
    #[inline]
    pub(super) fn legacy_writer(&self, place: &ValuePlace<'_>) -> Result<Option<&'a Arc<dyn LegacyCodec>>> {
        let is_it = |path: &str| place.is_at(path);
        if !self.writes_legacy(place.field(), is_it) {
            return Ok(None);
        }
        let codec = self.codec(place.field(), is_it)?;
        codec.check_writing()?;
        Ok(Some(codec))
    }

    /// Whether new values of a field, whose path `is_it` knows, are written in the form of another system.
    #[inline]
    pub(super) fn writes_legacy(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> bool {
        self.legacy_policy(field, is_it) == Some(LegacyPolicy::ReadAndWrite)
    }

    /// `None` for a field that has only our form.
    #[inline]
    fn legacy_policy(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> Option<LegacyPolicy> {
        self.policies.legacy_of(field, is_it)
    }

    fn codec(&self, field: &FieldSpec, is_it: impl Fn(&str) -> bool) -> Result<&'a Arc<dyn LegacyCodec>> {
        let format = field.legacy();
        let found = format.and_then(|format| self.legacies.find(format, self.model, is_it));
        found.ok_or_else(|| {
            let name = format.map_or("none", |format| format.name());
            Error::new(ErrorKind::Configuration)
                .message(format!("the field says `legacy = \"{name}\"`, and this cryptor was not told how to read it"))
                .help(
                    "call `Cryptor::with_legacy`; where no such value is left, set `LegacyPolicy::Reject` for the field, \
                     or remove `legacy`",
                )
        })
    }
}

//! Policies of fields that change while the program runs.

mod check;
mod current;
mod entry;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::SystemTime,
};

pub use current::CurrentPolicies;
pub(crate) use entry::{Entry, ModelPolicies};

use crate::{
    error::Result,
    model::{ModelSpec, PlaintextPolicy},
};

/// What happens to values in the form of another system, in a field that says
/// `#[pii(legacy = "...")]`.
///
/// Reading and writing switch one after the other: first the readers that know only the other form
/// go, then its writers and its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LegacyPolicy {
    /// Values of both forms are read, and new values are written in that of the other system, whose
    /// programs go on.
    #[default]
    ReadAndWrite,
    /// Values of both forms are read, and new values are sealed in the form of this library.
    ReadAndSeal,
    /// Values of the other form are an error, and new values are sealed.
    Reject,
}

impl LegacyPolicy {
    /// The name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ReadAndWrite => "read_and_write",
            Self::ReadAndSeal => "read_and_seal",
            Self::Reject => "reject",
        }
    }
}

/// Policies of models and fields that can be switched while the program runs.
///
/// A cryptor asks them for every batch: [`Cryptor::with_policies`](crate::Cryptor::with_policies). Clones
/// share what is set, so that one may stay with whatever switches it, such as an admin's endpoint or the
/// reader of a configuration file. What is set for a field goes before what is set for its model, and that
/// before what the derive says. Models and fields go by their stable names; a field of a nested struct is
/// `address.street`, as [`pii_fields`](crate::PiiModel::pii_fields) lists it.
///
/// Whoever can write to the table can plant or move values as long as plaintext or another form is
/// accepted. So every policy may end by itself, and then means `reject`.
///
/// ```
/// # use pii_core as pii;
/// use std::time::{Duration, SystemTime};
/// use pii::{Cryptor, FieldPolicies, PlaintextPolicy, TestKeyring};
///
/// let policies = FieldPolicies::new();
/// let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build()?.with_policies(&policies);
///
/// policies.set("customer", "email", PlaintextPolicy::Prepare);
/// // later, when every program reads sealed values:
/// let in_a_month = SystemTime::now() + Duration::from_secs(30 * 24 * 3600);
/// policies.set_until("customer", "email", PlaintextPolicy::AcceptAndSeal, in_a_month);
/// # Ok::<(), pii::Error>(())
/// ```
///
/// # What is never possible
/// Fields of level 3 stay at `reject`. A field in WriteOnly mode can't be `prepare`, nor can one of another
/// system's form. Such a policy, and one for a field that the model does not have, makes every call
/// with that model fail before anything is read or written; [`FieldPolicies::check`] finds it, and names of
/// models that there are not, when the program starts.
#[derive(Clone, Default)]
pub struct FieldPolicies(Arc<RwLock<HashMap<String, Arc<ModelPolicies>>>>);

impl FieldPolicies {
    /// Nothing is set: what the derive says holds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what happens to stored plaintext of a field.
    pub fn set(&self, model: &str, field: &str, policy: PlaintextPolicy) {
        self.change(model, |policies| policies.field(field).plaintext = Some(Entry::new(policy)));
    }

    /// As [`FieldPolicies::set`], up to an instant by the system's clock; from then on it is `reject`.
    pub fn set_until(&self, model: &str, field: &str, policy: PlaintextPolicy, until: SystemTime) {
        self.change(model, |policies| policies.field(field).plaintext = Some(Entry::until(policy, until)));
    }

    /// Sets what happens to stored plaintext of all sealed fields of a model for which nothing else is
    /// set, those of level 3 excepted.
    pub fn set_model(&self, model: &str, policy: PlaintextPolicy) {
        self.change(model, |policies| policies.all.plaintext = Some(Entry::new(policy)));
    }

    /// As [`FieldPolicies::set_model`], up to an instant; from then on it is `reject`.
    pub fn set_model_until(&self, model: &str, policy: PlaintextPolicy, until: SystemTime) {
        self.change(model, |policies| policies.all.plaintext = Some(Entry::until(policy, until)));
    }

    /// Sets what happens to values in the form of another system, in a field that says
    /// `#[pii(legacy = "...")]`.
    pub fn set_legacy(&self, model: &str, field: &str, policy: LegacyPolicy) {
        self.change(model, |policies| policies.field(field).legacy = Some(Entry::new(policy)));
    }

    /// As [`FieldPolicies::set_legacy`], up to an instant; from then on it is `reject`.
    pub fn set_legacy_until(&self, model: &str, field: &str, policy: LegacyPolicy, until: SystemTime) {
        self.change(model, |policies| policies.field(field).legacy = Some(Entry::until(policy, until)));
    }

    /// Sets what happens to values in the form of another system, in all fields of a model that say
    /// `#[pii(legacy = "...")]` and for which nothing else is set.
    pub fn set_model_legacy(&self, model: &str, policy: LegacyPolicy) {
        self.change(model, |policies| policies.all.legacy = Some(Entry::new(policy)));
    }

    /// Forgets what is set for a field.
    pub fn clear(&self, model: &str, field: &str) {
        self.change(model, |policies| {
            policies.fields.remove(field);
        });
    }

    /// Forgets what is set for a model and its fields.
    pub fn clear_model(&self, model: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(model);
    }

    /// Checks what is set against all models of the program.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::{FieldPolicies, PiiModel};
    /// # fn start<Customer: PiiModel, Order: PiiModel>(policies: &FieldPolicies) -> Result<(), pii::Error> {
    /// policies.check(&[Customer::MODEL, Order::MODEL])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) for a name that none of the models has,
    /// or a policy that a field can't have.
    pub fn check(&self, models: &[&ModelSpec]) -> Result<()> {
        let set = self.0.read().unwrap_or_else(PoisonError::into_inner);
        for (name, policies) in &*set {
            let mut named = models.iter().filter(|model| model.name() == name).peekable();
            if named.peek().is_none() {
                return Err(check::no_model(name));
            }
            named.try_for_each(|model| policies.check(model))?;
        }
        Ok(())
    }

    /// What holds for the fields of a model at this moment. What is set later does not change it.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration) if something is set that the model can't
    /// have.
    pub fn current(&self, model: &ModelSpec) -> Result<CurrentPolicies> {
        let set = self.of(model.name());
        if let Some(set) = &set {
            set.check(model)?;
        }
        Ok(CurrentPolicies::of(set))
    }

    /// What is set for a model, at this moment.
    fn of(&self, model: &str) -> Option<Arc<ModelPolicies>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(model).map(Arc::clone)
    }

    fn change(&self, model: &str, change: impl FnOnce(&mut ModelPolicies)) {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(set.entry(model.to_owned()).or_default()));
    }
}

impl fmt::Debug for FieldPolicies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.read().unwrap_or_else(PoisonError::into_inner).iter()).finish()
    }
}

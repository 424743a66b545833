//! Rows that hold one model or several, and are opened in one batch.

use std::{borrow::Cow, ops::Range};

use super::{Cryptor, FieldSelection, place::RowPlaces, rules::Rules};
use crate::{
    audit::{AuditEvent, Operation},
    context::EncryptionContext,
    error::{Error, ErrorKind, Result},
    model::{ModelSpec, PiiModel, Walk, WalkMut},
};

/// What a query gives for a row: a model, or a tuple of models that were joined, each of which may be an
/// `Option`.
///
/// It can't be implemented elsewhere, because its two visits must agree.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a PII model nor a tuple of models",
    label = "add `#[derive(PiiModel)]` and `#[pii(name = \"...\")]` to `{Self}`",
    note = "what is no model in a joined row stands in `pii::Other`"
)]
pub trait PiiRow: Sized + KnownRow {
    /// How many models there are at most.
    #[doc(hidden)]
    const MODELS: usize;

    /// The models, in their order.
    #[doc(hidden)]
    fn models(out: &mut Vec<&'static ModelSpec>);

    /// The first model.
    #[doc(hidden)]
    fn first_model() -> Option<&'static ModelSpec>;

    /// Adds those that are there.
    #[doc(hidden)]
    fn add_to<'a>(&'a self, rows: &mut Rows<'a, '_>);

    /// Visits the values of those that are there and have a place, in the same order.
    #[doc(hidden)]
    fn visit_placed<'a>(&'a mut self, placed: &mut Placed<'a, '_>);
}

impl<M: PiiModel> PiiRow for M {
    const MODELS: usize = 1;

    fn models(out: &mut Vec<&'static ModelSpec>) {
        out.push(M::MODEL);
    }

    fn first_model() -> Option<&'static ModelSpec> {
        Some(M::MODEL)
    }

    #[inline]
    fn add_to<'a>(&'a self, rows: &mut Rows<'a, '_>) {
        rows.add(self);
    }

    #[inline]
    fn visit_placed<'a>(&'a mut self, placed: &mut Placed<'a, '_>) {
        if placed.next_is_placed() {
            self.visit_mut(&mut placed.walk);
        }
    }
}

impl<R: PiiRow> PiiRow for Option<R> {
    const MODELS: usize = R::MODELS;

    fn models(out: &mut Vec<&'static ModelSpec>) {
        R::models(out);
    }

    fn first_model() -> Option<&'static ModelSpec> {
        R::first_model()
    }

    fn add_to<'a>(&'a self, rows: &mut Rows<'a, '_>) {
        match self {
            Some(row) => row.add_to(rows),
            None => rows.next += R::MODELS,
        }
    }

    fn visit_placed<'a>(&'a mut self, placed: &mut Placed<'a, '_>) {
        if let Some(row) = self {
            row.visit_placed(placed);
        }
    }
}

/// Something beside the models of a joined row, such as a count: it is left as it is.
///
/// ```
/// # use pii_core as pii;
/// # use pii::{Cryptor, FieldSelection, PiiModel};
/// # async fn run<M: PiiModel>(cryptor: &Cryptor, customer: M) -> pii::Result<()> {
/// let mut rows = [(customer, pii::Other(3_i64))];
/// let opened = cryptor.open_each(&mut rows, &FieldSelection::All).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Other<T>(pub T);

impl<T> PiiRow for Other<T> {
    const MODELS: usize = 0;

    fn models(_: &mut Vec<&'static ModelSpec>) {}

    fn first_model() -> Option<&'static ModelSpec> {
        None
    }

    fn add_to<'a>(&'a self, _: &mut Rows<'a, '_>) {}

    fn visit_placed<'a>(&'a mut self, _: &mut Placed<'a, '_>) {}
}

macro_rules! tuples {
    ($(($($name:ident)+))+) => {$(
        #[allow(non_snake_case, reason = "one name for a type and its value")]
        impl<$($name: PiiRow),+> PiiRow for ($($name,)+) {
            const MODELS: usize = 0 $(+ $name::MODELS)+;

            fn models(out: &mut Vec<&'static ModelSpec>) {
                $($name::models(out);)+
            }

            fn first_model() -> Option<&'static ModelSpec> {
                None$(.or_else($name::first_model))+
            }

            fn add_to<'a>(&'a self, rows: &mut Rows<'a, '_>) {
                let ($($name,)+) = self;
                $($name.add_to(rows);)+
            }

            fn visit_placed<'a>(&'a mut self, placed: &mut Placed<'a, '_>) {
                let ($($name,)+) = self;
                $($name.visit_placed(placed);)+
            }
        }

        impl<$($name),+> KnownRow for ($($name,)+) {}
    )+};
}

tuples! {
    (A)
    (A B)
    (A B C)
    (A B C D)
    (A B C D E)
    (A B C D E F)
}

/// Marks the types that are rows; no part of the public interface.
pub trait KnownRow {}

impl<M: PiiModel> KnownRow for M {}
impl<R> KnownRow for Option<R> {}
impl<T> KnownRow for Other<T> {}

/// The models of a batch with their places and values.
pub struct Rows<'a, 'c> {
    cryptor: &'c Cryptor,
    scope: Option<&'c EncryptionContext>,
    pub(super) places: RowPlaces,
    pub(super) walk: Walk<'a>,
    pub(super) parts: Vec<Part>,
    /// for each row, what went wrong first
    pub(super) failed: Vec<Option<Error>>,
    pub(super) events: Vec<AuditEvent>,
    /// the next model of the row, by its index among all of the row
    next: usize,
}

/// A model in a row.
pub(super) struct Part {
    /// the index of the row
    pub(super) row: usize,
    /// the index of the model among those of a row
    pub(super) model: usize,
    /// its place; 0 if it has none
    pub(super) place: usize,
    /// empty if it has no place
    pub(super) slots: Range<usize>,
}

impl<'a, 'c> Rows<'a, 'c> {
    /// Visits the models of these rows.
    pub(super) fn of<R: PiiRow>(
        cryptor: &'c Cryptor,
        scope: Option<&'c EncryptionContext>,
        rows: &'a [R],
    ) -> Self {
        let mut models = Vec::with_capacity(R::MODELS);
        R::models(&mut models);
        let parts = rows.len().saturating_mul(R::MODELS);
        let mut out = Self {
            cryptor,
            scope,
            places: RowPlaces::with_capacity(parts),
            walk: Walk::for_models(&models, rows.len()),
            parts: Vec::with_capacity(parts),
            failed: Vec::with_capacity(rows.len()),
            events: Vec::new(),
            next: 0,
        };
        for row in rows {
            out.failed.push(None);
            out.next = 0;
            row.add_to(&mut out);
        }
        out
    }

    #[inline]
    fn add<M: PiiModel>(&mut self, model: &'a M) {
        let start = self.walk.slots().len();
        let place = match self.places.add(model, self.scope) {
            Ok(place) => {
                model.visit(&mut self.walk);
                place
            }
            Err(error) => {
                self.refuse(M::MODEL, error);
                0
            }
        };
        let row = self.failed.len().saturating_sub(1);
        let slots = start..self.walk.slots().len();
        self.parts.push(Part { row, model: self.next, place, slots });
        self.next += 1;
    }

    #[cold]
    fn refuse(&mut self, model: &'static ModelSpec, error: Error) {
        if self.cryptor.is_audited() {
            self.events.push(self.cryptor.refusal(Operation::Open, model, &error));
        }
        if let Some(failed) = self.failed.last_mut() {
            failed.get_or_insert(error);
        }
    }
}

/// The cells of the models that have a place.
pub struct Placed<'a, 'p> {
    walk: WalkMut<'a>,
    parts: std::slice::Iter<'p, Part>,
}

impl<'a, 'p> Placed<'a, 'p> {
    /// Visits the same rows again, to change their values.
    pub(super) fn of<R: PiiRow>(rows: &'a mut [R], parts: &'p [Part], cells: usize) -> WalkMut<'a> {
        let mut placed = Self { walk: WalkMut { cells: Vec::with_capacity(cells) }, parts: parts.iter() };
        for row in rows {
            row.visit_placed(&mut placed);
        }
        placed.walk
    }

    #[inline]
    fn next_is_placed(&mut self) -> bool {
        self.parts.next().is_some_and(|part| !part.slots.is_empty())
    }
}

/// What holds for one of the models of a row.
pub(super) struct ModelRules<'a> {
    pub(super) rules: Rules<'a>,
    pub(super) fields: Cow<'a, FieldSelection>,
}

impl Cryptor {
    /// The rules for each model of a row, in their order.
    ///
    /// # Errors
    /// With the model that it is about: [`ErrorKind::Configuration`] for an unknown field, or for something
    /// that is set and the model can't have; [`ErrorKind::Mode`] for what can't be opened.
    pub(super) fn model_rules<'a, R: PiiRow>(
        &'a self,
        fields: &'a FieldSelection,
    ) -> Result<Vec<ModelRules<'a>>, (&'static ModelSpec, Error)> {
        let mut models = Vec::with_capacity(R::MODELS);
        R::models(&mut models);
        let chosen = fields.of_models(&models)?;
        let of = |(model, fields): (&&'static ModelSpec, Cow<'a, FieldSelection>)| {
            let rules = fields.check(model).and_then(|()| self.check_opening(model, &fields));
            let rules = rules.and_then(|()| self.rules(model));
            rules.map(|rules| ModelRules { rules, fields }).map_err(|error| (*model, error))
        };
        models.iter().zip(chosen).map(of).collect()
    }
}

impl FieldSelection {
    /// What is chosen of each of the models. Where there are several, a field is named with its model:
    /// `customer.email`.
    fn of_models<'a>(
        &'a self,
        models: &[&'static ModelSpec],
    ) -> Result<Vec<Cow<'a, FieldSelection>>, (&'static ModelSpec, Error)> {
        let (names, first) = match (self, models) {
            (Self::Only(names), [first, _, ..]) => (names, *first),
            _ => return Ok(models.iter().map(|_| Cow::Borrowed(self)).collect()),
        };
        for name in names {
            if !models.iter().any(|model| of_model(model, name).is_some()) {
                let error = Error::new(ErrorKind::Configuration)
                    .field(first.name(), name)
                    .message("the row has several models, and none of them is named before the field")
                    .help("write the stable names of the model and of the field, as in `customer.email`");
                return Err((first, error));
            }
        }
        let of = |model: &&'static ModelSpec| names.iter().filter_map(|name| of_model(model, name));
        Ok(models.iter().map(|model| Cow::Owned(Self::only(of(model)))).collect())
    }
}

/// The field's name, if it is named as one of this model.
fn of_model<'n>(model: &ModelSpec, name: &'n str) -> Option<&'n str> {
    name.strip_prefix(model.name())?.strip_prefix('.')
}

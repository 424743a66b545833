//! Collecting the sealed values of models, with the way to each of them.

use std::{ops::Range, sync::Arc};

use super::{FieldSpec, Holds, ModelSpec, PiiField};
use crate::value::{Cell, TypeOps};

/// One step of the way from a model to a value.
#[derive(Clone, Copy)]
pub(crate) enum PathStep<'a> {
    Field(&'static FieldSpec),
    Key(&'a str),
    Element,
    Node(&'a NodeName),
}

/// A node of a JSON document.
pub(crate) struct NodeName {
    /// the normalized path, to which the value is bound
    pub(crate) path: String,
    /// the path as the program wrote it, to name in errors: the other one may hold personal keys
    pub(crate) rule: Arc<str>,
}

/// A place of a model that holds a value.
pub(crate) struct Slot<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) ops: &'static TypeOps,
    /// the innermost field: mode, level and policy are its
    pub(crate) field: &'static FieldSpec,
    path: Range<u32>,
}

impl Slot<'_> {
    /// Whether the field is the model's own, neither nested nor in a collection.
    #[inline]
    pub(crate) fn is_plain_field(&self) -> bool {
        self.path.end - self.path.start == 1
    }
}

/// Collects the values of one or many models.
#[derive(Default)]
pub struct Walk<'a> {
    stack: Vec<PathStep<'a>>,
    steps: Vec<PathStep<'a>>,
    slots: Vec<Slot<'a>>,
    /// how many values there were, for a walk that does nothing but count
    counted: Option<usize>,
}

impl<'a> Walk<'a> {
    /// With room for this many rows of these models.
    pub(crate) fn for_models(models: &[&ModelSpec], rows: usize) -> Self {
        let fields = models.iter().flat_map(|model| model.fields());
        let values = rows.saturating_mul(fields.filter(|field| field.is_sealed()).count());
        Self { steps: Vec::with_capacity(values), slots: Vec::with_capacity(values), ..Self::default() }
    }

    /// How many values a field has. Allocates nothing.
    pub(crate) fn count<F: PiiField>(field: &'a F) -> usize {
        let mut walk = Self { counted: Some(0), ..Self::default() };
        field.visit(&mut walk);
        walk.counted.unwrap_or_default()
    }

    /// Forgets what was visited, and keeps the room.
    pub(crate) fn clear(&mut self) {
        self.steps.clear();
        self.slots.clear();
    }

    /// The values of one field; their way from the model stays unknown.
    pub(crate) fn of<F: PiiField>(field: &'a F) -> Self {
        static ANY: FieldSpec = FieldSpec::new("", "", Holds::Plain);
        let mut walk = Self::default();
        walk.field(&ANY, |walk| field.visit(walk));
        walk
    }

    /// Goes into a field.
    #[inline]
    pub fn field(&mut self, spec: &'static FieldSpec, visit: impl FnOnce(&mut Self)) {
        self.within(PathStep::Field(spec), visit);
    }

    /// Goes into the entry of a map.
    pub fn key(&mut self, key: &'a str, visit: impl FnOnce(&mut Self)) {
        self.within(PathStep::Key(key), visit);
    }

    /// Goes into an element of a list.
    pub fn element(&mut self, visit: impl FnOnce(&mut Self)) {
        self.within(PathStep::Element, visit);
    }

    /// Goes to a node of a document.
    pub(crate) fn node(&mut self, name: &'a NodeName, visit: impl FnOnce(&mut Self)) {
        self.within(PathStep::Node(name), visit);
    }

    #[inline]
    fn within(&mut self, step: PathStep<'a>, visit: impl FnOnce(&mut Self)) {
        if self.counted.is_some() {
            return visit(self);
        }
        self.stack.push(step);
        visit(self);
        self.stack.pop();
    }

    #[inline]
    pub(crate) fn value(&mut self, cell: &'a Cell, ops: &'static TypeOps) {
        if let Some(counted) = &mut self.counted {
            *counted += 1;
            return;
        }
        // outside any field there is nothing to bind a value to
        let innermost = self.stack.iter().rev().find_map(|step| match step {
            PathStep::Field(field) => Some(*field),
            PathStep::Key(_) | PathStep::Element | PathStep::Node(_) => None,
        });
        let Some(field) = innermost else { return };
        let start = offset(self.steps.len());
        self.steps.extend_from_slice(&self.stack);
        self.slots.push(Slot { cell, ops, field, path: start..offset(self.steps.len()) });
    }

    #[inline]
    pub(crate) fn slots(&self) -> &[Slot<'a>] {
        &self.slots
    }

    #[inline]
    pub(crate) fn path(&self, slot: &Slot<'a>) -> &[PathStep<'a>] {
        self.steps.get(slot.path.start as usize..slot.path.end as usize).unwrap_or_default()
    }
}

/// Collects the values of models to change them, in the order of [`Walk`].
#[derive(Default)]
pub struct WalkMut<'a> {
    pub(crate) cells: Vec<&'a mut Cell>,
}

/// A batch of 2^32 path steps would fill the memory long before; saturated, it would find no path.
fn offset(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

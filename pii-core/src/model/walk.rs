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
    /// [`PLAIN`] where the way is that field alone
    path: Range<u32>,
}

/// No range of steps is like it.
#[expect(clippy::reversed_empty_ranges, reason = "nobody iterates over it")]
const PLAIN: Range<u32> = 1..0;

impl Slot<'_> {
    /// Whether the field is the model's own, neither nested nor in a collection.
    #[inline]
    pub(crate) fn is_plain_field(&self) -> bool {
        self.path == PLAIN
    }
}

/// The way from a model to a value.
#[derive(Clone, Copy)]
pub(crate) struct Path<'w, 'a> {
    /// where that is all of the way
    only: Option<&'static FieldSpec>,
    steps: &'w [PathStep<'a>],
}

impl<'w, 'a> Path<'w, 'a> {
    #[inline]
    pub(crate) fn iter(self) -> impl ExactSizeIterator<Item = PathStep<'a>> + use<'w, 'a> {
        PathIter { only: self.only, steps: self.steps.iter() }
    }

    #[inline]
    pub(crate) fn first(self) -> Option<PathStep<'a>> {
        self.iter().next()
    }
}

struct PathIter<'w, 'a> {
    only: Option<&'static FieldSpec>,
    steps: std::slice::Iter<'w, PathStep<'a>>,
}

impl<'a> Iterator for PathIter<'_, 'a> {
    type Item = PathStep<'a>;

    #[inline]
    fn next(&mut self) -> Option<PathStep<'a>> {
        self.only.take().map(PathStep::Field).or_else(|| self.steps.next().copied())
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let length = usize::from(self.only.is_some()) + self.steps.len();
        (length, Some(length))
    }
}

impl ExactSizeIterator for PathIter<'_, '_> {}

/// Collects the values of one or many models.
#[derive(Default)]
pub struct Walk<'a> {
    /// the field of the model that is being visited, and the way on from there
    outermost: Option<&'static FieldSpec>,
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
        Self { slots: Vec::with_capacity(values), ..Self::default() }
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
        if self.outermost.is_some() || !self.stack.is_empty() {
            return self.within(PathStep::Field(spec), visit);
        }
        self.outermost = Some(spec);
        visit(self);
        self.outermost = None;
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
        let Some(field) = self.innermost() else { return };
        let path = if self.stack.is_empty() { PLAIN } else { self.add_path() };
        self.slots.push(Slot { cell, ops, field, path });
    }

    fn add_path(&mut self) -> Range<u32> {
        let start = offset(self.steps.len());
        self.steps.extend(self.outermost.map(PathStep::Field));
        self.steps.extend_from_slice(&self.stack);
        start..offset(self.steps.len())
    }

    #[inline]
    fn innermost(&self) -> Option<&'static FieldSpec> {
        let nested = self.stack.iter().rev().find_map(|step| match step {
            PathStep::Field(field) => Some(*field),
            PathStep::Key(_) | PathStep::Element | PathStep::Node(_) => None,
        });
        nested.or(self.outermost)
    }

    #[inline]
    pub(crate) fn slots(&self) -> &[Slot<'a>] {
        &self.slots
    }

    #[inline]
    pub(crate) fn path(&self, slot: &Slot<'a>) -> Path<'_, 'a> {
        if slot.is_plain_field() {
            return Path { only: Some(slot.field), steps: &[] };
        }
        let steps = self.steps.get(slot.path.start as usize..slot.path.end as usize);
        Path { only: None, steps: steps.unwrap_or_default() }
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

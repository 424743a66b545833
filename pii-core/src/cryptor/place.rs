//! Where values belong: model, path, row and context, recomputed from the model for each batch.

use std::{
    collections::HashSet,
    hash::{BuildHasher, Hash as _, Hasher as _},
    ops::Range,
    sync::{Arc, LazyLock},
};

use foldhash::quality::RandomState;

use super::names::Names;
use crate::{
    context::{ContextWriter, EncryptionContext},
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, ModelSpec, Path, PathStep, PiiModel, RowBinding, Slot, TypeCode, Walk},
    row::{self, RowId, RowWriter},
    value::{Place, TypeOps},
    wire::{
        Envelope, KeyId,
        associated_data::{Step, write_head},
    },
};

/// The places of the rows of one batch.
#[derive(Default)]
pub(crate) struct RowPlaces {
    rows: Vec<RowPlace>,
    contexts: Names<Arc<EncryptionContext>>,
    /// the ids of all rows, in their canonical form
    ids: RowWriter,
    /// where the last one begins
    id_start: usize,
    context: ContextWriter,
    /// index in `contexts` of what was written last
    last: Option<usize>,
}

struct RowPlace {
    model: &'static ModelSpec,
    /// index in `contexts`
    context: usize,
    id: Range<usize>,
}

/// About as many bytes as the id of a row has.
const ID_BYTES: usize = 24;

impl RowPlaces {
    /// With room for this many rows.
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            rows: Vec::with_capacity(rows),
            ids: RowWriter::with_capacity(rows.saturating_mul(ID_BYTES)),
            context: ContextWriter::with_room(),
            ..Self::default()
        }
    }

    /// Adds a row; refuses one whose context is invalid or outside `scope`.
    pub(crate) fn add<M: PiiModel>(&mut self, model: &M, scope: Option<&EncryptionContext>) -> Result<usize> {
        let spec = M::MODEL;
        let written = self.write_id(|writer| model.write_row(writer));
        self.context.restart();
        model.write_context(&mut self.context);
        if self.ids.is_empty() && spec.binding() == RowBinding::Row {
            return Err(Error::new(ErrorKind::Configuration)
                .model(spec.name())
                .message("the row's id wrote nothing, so values could not be bound to the row")
                .help("an id that is not known yet needs `#[pii(id, bind = \"field\")]`"));
        }
        let context = self.intern_context().map_err(|error| self.locate(spec, error))?;
        self.add_written(spec, written, context, scope)
    }

    /// Adds a document; refuses one whose context is outside `scope`.
    pub(crate) fn add_document(
        &mut self,
        spec: &'static ModelSpec,
        id: &impl RowId,
        context: &Arc<EncryptionContext>,
        scope: Option<&EncryptionContext>,
    ) -> Result<usize> {
        let written = self.write_id(|writer| id.write_row(writer));
        if self.ids.is_empty() && !self.ids.is_unbound() {
            return Err(Error::new(ErrorKind::Configuration)
                .model(spec.name())
                .message("the document's id wrote nothing, so values could not be bound to the document")
                .help("documents that have no id are given `NoId`"));
        }
        let context = self.intern(Arc::clone(context));
        self.add_written(spec, written, context, scope)
    }

    /// Writes an id to the end of all ids.
    #[inline]
    fn write_id(&mut self, write: impl FnOnce(&mut RowWriter)) -> Result<()> {
        self.id_start = self.ids.begin_next();
        write(&mut self.ids);
        self.ids.end(self.id_start)
    }

    /// Adds the row whose id was just written.
    #[inline]
    fn add_written(
        &mut self,
        spec: &'static ModelSpec,
        written: Result<()>,
        context: usize,
        scope: Option<&EncryptionContext>,
    ) -> Result<usize> {
        if let (Some(context), Some(scope)) = (self.contexts.as_slice().get(context), scope) {
            check_scope(context, scope).map_err(|error| self.locate(spec, error))?;
        }
        written.map_err(|error| error.model(spec.name()))?;
        self.rows.push(RowPlace { model: spec, context, id: self.id_start..self.ids.written().len() });
        Ok(self.rows.len() - 1)
    }

    /// Forgets the rows, not their contexts.
    pub(crate) fn forget_rows(&mut self) {
        self.rows.clear();
        self.ids.clear();
    }

    /// The index of the row's context.
    pub(crate) fn context_index(&self, row: usize) -> Option<usize> {
        self.rows.get(row).map(|row| row.context)
    }

    /// Forgets the rows, and every context but these.
    pub(crate) fn keep_contexts(&mut self, kept: &HashSet<usize>) {
        self.forget_rows();
        self.last = None;
        self.contexts.keep(|index| kept.contains(&index));
    }

    /// The different contexts of all rows.
    pub(crate) fn contexts(&self) -> &[Arc<EncryptionContext>] {
        self.contexts.as_slice()
    }

    /// The index of the context that was just written; neighbours mostly share one.
    #[inline]
    fn intern_context(&mut self) -> Result<usize> {
        match (self.context.is_as_before(), self.last) {
            (true, Some(index)) => Ok(index),
            _ => self.intern_another_context(),
        }
    }

    fn intern_another_context(&mut self) -> Result<usize> {
        self.last = None;
        let context = self.context.finish()?;
        let index = self.intern(Arc::new(context));
        self.last = Some(index);
        Ok(index)
    }

    /// The index of a context.
    fn intern(&mut self, context: Arc<EncryptionContext>) -> usize {
        match self.contexts.find(&context) {
            Some(known) => known,
            None => self.contexts.add(context),
        }
    }

    /// Names model and row, the last one, in an error.
    #[cold]
    pub(super) fn locate(&self, spec: &ModelSpec, error: Error) -> Error {
        let error = error.model(spec.name());
        match self.ids.written().get(self.id_start..).and_then(row::display) {
            Some(row) => error.row(row),
            None => error,
        }
    }

    /// The context of a row.
    pub(super) fn context_of(&self, row: usize) -> Option<&Arc<EncryptionContext>> {
        self.contexts.as_slice().get(self.rows.get(row)?.context)
    }

    /// The place of a slot of this row.
    #[inline]
    pub(crate) fn place<'a>(
        &'a self,
        row: usize,
        walk: &'a Walk<'a>,
        slot: &'a Slot<'a>,
    ) -> Option<ValuePlace<'a>> {
        let row = self.rows.get(row)?;
        let context = self.contexts.as_slice().get(row.context)?;
        Some(ValuePlace { places: self, row, context, walk, slot, is_padded: slot.field.pad().is_some() })
    }

    /// One row at a place that no model describes, for the test vectors.
    #[cfg(test)]
    pub(crate) fn of(model: &'static ModelSpec, context: EncryptionContext, row: Vec<u8>) -> Self {
        let place = RowPlace { model, context: 0, id: 0..row.len() };
        let mut places = Self { rows: vec![place], ids: RowWriter::of(row), ..Self::default() };
        places.intern(Arc::new(context));
        places
    }
}

pub(super) fn check_scope(context: &EncryptionContext, scope: &EncryptionContext) -> Result<()> {
    let differ = context.names_that_differ(scope);
    if differ.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::ContextMismatch)
        .message(format!("the row is outside the scope of this cryptor: `{}` differs", differ.join("`, `"))))
}

/// Where one value belongs.
#[derive(Clone, Copy)]
pub struct ValuePlace<'a> {
    places: &'a RowPlaces,
    row: &'a RowPlace,
    context: &'a Arc<EncryptionContext>,
    walk: &'a Walk<'a>,
    slot: &'a Slot<'a>,
    /// whether what is sealed is the padded value
    is_padded: bool,
}

pub(super) type StampHasher = <RandomState as BuildHasher>::Hasher;

/// Says in the type byte that a value is padded.
const PADDED: u8 = 0x80;

/// How many different associated data a value may have because of `was`.
const MAX_ALTERNATIVES: usize = 1024;

impl<'a> ValuePlace<'a> {
    /// The model.
    #[must_use]
    #[inline]
    pub fn model(&self) -> &'static ModelSpec {
        self.row.model
    }

    /// The innermost field.
    #[must_use]
    #[inline]
    pub fn field(&self) -> &'static FieldSpec {
        self.slot.field
    }

    /// The type of the plaintext.
    #[must_use]
    #[inline]
    pub fn type_code(&self) -> TypeCode {
        self.slot.ops.code
    }

    /// The encryption context under which the value is sealed or expected to be.
    #[must_use]
    #[inline]
    pub fn context(&self) -> &'a Arc<EncryptionContext> {
        self.context
    }

    /// The row's id as a person reads it, or `None` where values are not bound to rows.
    #[must_use]
    pub fn row(&self) -> Option<String> {
        row::display(self.id())
    }

    /// Stable names from the model to the value, joined by dots; map keys are left out, because
    /// they may be personal. Of a value in a document, the path by which it was chosen.
    #[must_use]
    pub fn field_path(&self) -> String {
        let mut out = String::new();
        for step in self.path().iter() {
            match step {
                PathStep::Field(field) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(field.name());
                }
                PathStep::Key(_) | PathStep::Element => out.push_str("[]"),
                PathStep::Node(node) => out = node.rule.to_string(),
            }
        }
        out
    }

    /// Writes the associated data of FORMAT.md into `out`, replacing it.
    pub fn write_associated_data(&self, key_id: KeyId, out: &mut Vec<u8>) {
        out.clear();
        self.write_head(Envelope::Outer, key_id, out);
        self.write_tail(out);
    }

    /// The part of the associated data that all values of a field share under one key.
    #[inline]
    pub(crate) fn write_head(&self, envelope: Envelope, key_id: KeyId, out: &mut Vec<u8>) {
        let steps = self.path().iter().map(|step| match step {
            PathStep::Field(field) => Step::Field(field.name()),
            PathStep::Key(key) => Step::Key(key),
            PathStep::Node(node) => Step::Key(&node.path),
            PathStep::Element => Step::Element,
        });
        write_head(
            out,
            envelope,
            key_id,
            self.field().level().number(),
            self.type_byte(),
            self.model().name(),
            steps,
        );
    }

    /// The type as it is authenticated: whether the value is padded too.
    fn type_byte(&self) -> u8 {
        self.type_code().number() | if self.is_padded { PADDED } else { 0 }
    }

    /// The same place for a value from before its field was padded.
    pub(super) fn without_padding(self) -> Self {
        Self { is_padded: false, ..self }
    }

    /// The multiple of bytes to which what is sealed here is padded.
    #[inline]
    pub(super) fn bucket(&self) -> Option<u32> {
        self.field().pad()
    }

    /// Whether these bytes are a plaintext of the type of the value.
    pub(crate) fn is_of_its_type(&self, plain: &[u8]) -> bool {
        (self.slot.ops.check)(plain)
    }

    /// What the type needs to know.
    pub(super) fn ops(&self) -> &'static TypeOps {
        self.slot.ops
    }

    /// The rest of the associated data.
    fn write_tail(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.context.canonical_bytes());
        out.extend_from_slice(self.id());
    }

    /// The canonical bytes of the row's id, with which the associated data ends; the context stands
    /// before it.
    #[inline]
    pub(crate) fn id(&self) -> &'a [u8] {
        self.places.ids.written().get(self.row.id.clone()).unwrap_or_default()
    }

    #[inline]
    fn path(&self) -> Path<'a, 'a> {
        self.walk.path(self.slot)
    }

    /// Whether another place differs in nothing but the row and its context: a plain field, neither
    /// nested nor in a collection.
    #[inline]
    pub(crate) fn shares_head_with(&self, other: &ValuePlace<'_>) -> bool {
        std::ptr::eq(self.field(), other.field())
            && std::ptr::eq(self.model(), other.model())
            && self.is_padded == other.is_padded
            && self.slot.is_plain_field()
            && other.slot.is_plain_field()
    }

    /// Whether another place of the batch has the very same context.
    #[inline]
    pub(super) fn shares_context_with(&self, other: &ValuePlace<'_>) -> bool {
        std::ptr::eq(self.context, other.context)
    }

    /// How many places a stored value may have been sealed for: one, and more where `was` names
    /// earlier names of the model or of fields.
    #[must_use]
    #[inline]
    pub fn alternatives(&self) -> usize {
        let fields = self.path().iter().map(|step| match step {
            PathStep::Field(field) => 1 + field.was().len(),
            PathStep::Key(_) | PathStep::Element | PathStep::Node(_) => 1,
        });
        fields.fold(1 + self.model().was().len(), usize::saturating_mul).min(MAX_ALTERNATIVES)
    }

    /// As [`ValuePlace::write_associated_data`], for an alternative from 0 (today's names) up.
    pub fn write_alternative(&self, alternative: usize, key_id: KeyId, out: &mut Vec<u8>) {
        self.write_alternative_of(Envelope::Outer, alternative, key_id, out);
    }

    pub(crate) fn write_alternative_of(
        &self,
        envelope: Envelope,
        alternative: usize,
        key_id: KeyId,
        out: &mut Vec<u8>,
    ) {
        let mut rest = alternative;
        let mut choose = |now: &'static str, was: &'static [&'static str]| {
            let index = rest % (was.len() + 1);
            rest /= was.len() + 1;
            index.checked_sub(1).and_then(|index| was.get(index).copied()).unwrap_or(now)
        };
        let model = choose(self.model().name(), self.model().was());
        let steps: Vec<Step<'_>> = self
            .path()
            .iter()
            .map(|step| match step {
                PathStep::Field(field) => Step::Field(choose(field.name(), field.was())),
                PathStep::Key(key) => Step::Key(key),
                PathStep::Node(node) => Step::Key(&node.path),
                PathStep::Element => Step::Element,
            })
            .collect();
        out.clear();
        let (level, type_code) = (self.field().level().number(), self.type_byte());
        write_head(out, envelope, key_id, level, type_code, model, steps.into_iter());
        self.write_tail(out);
    }

    /// Whether this is the place of a field: stable names from the model to it, joined by dots.
    pub(crate) fn is_at(&self, path: &str) -> bool {
        let fields = self.path().iter().filter_map(|step| match step {
            PathStep::Field(field) => Some(field.name()),
            PathStep::Key(_) | PathStep::Node(_) | PathStep::Element => None,
        });
        let mut rest = path;
        for (index, name) in fields.enumerate() {
            let part = if index == 0 { Some(rest) } else { rest.strip_prefix('.') };
            match part.and_then(|part| part.strip_prefix(name)) {
                Some(after) => rest = after,
                None => return false,
            }
        }
        rest.is_empty()
    }

    /// The hash that tells this place from others for the time of this process.
    #[inline]
    pub(crate) fn stamp(&self) -> Place {
        self.stamp_after(&self.front_hash())
    }

    /// The hash of everything but the row's id, unfinished: all values of a field in one context share it.
    pub(super) fn front_hash(&self) -> StampHasher {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        let mut hasher = KEYS.build_hasher();
        hasher.write_u8(self.type_code().number());
        hasher.write_u8(self.field().level().number());
        self.model().name().hash(&mut hasher);
        for step in self.path().iter() {
            match step {
                PathStep::Field(field) => field.name().hash(&mut hasher),
                PathStep::Key(key) => (1_u8, key).hash(&mut hasher),
                PathStep::Node(node) => (1_u8, &node.path).hash(&mut hasher),
                PathStep::Element => hasher.write_u8(2),
            }
        }
        self.context.canonical_bytes().hash(&mut hasher);
        hasher
    }

    /// The stamp, by the hash of everything but the row's id.
    #[inline]
    pub(super) fn stamp_after(&self, front: &StampHasher) -> Place {
        let mut hasher = front.clone();
        self.id().hash(&mut hasher);
        Place(hasher.finish())
    }

    /// Names model, field and row in an error.
    #[cold]
    pub(crate) fn locate(&self, error: Error) -> Error {
        let error = error.field(self.model().name(), &self.field_path());
        match self.row() {
            Some(row) => error.row(row),
            None => error,
        }
    }
}

//! Where values belong: model, path, row and context, recomputed from the model for each batch.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash as _, Hasher as _},
    ops::Range,
    sync::{Arc, LazyLock},
};

use foldhash::quality::RandomState;

use crate::{
    context::{ContextWriter, EncryptionContext},
    error::{Error, ErrorKind, Result},
    model::{FieldSpec, ModelSpec, PathStep, PiiModel, Slot, TypeCode, Walk},
    row::{self, RowWriter},
    value::Place,
    wire::{
        KeyId,
        associated_data::{Binding, Step},
    },
};

/// The places of the rows of one batch.
#[derive(Default)]
pub(crate) struct RowPlaces {
    rows: Vec<RowPlace>,
    contexts: Vec<Arc<EncryptionContext>>,
    known: HashMap<Arc<EncryptionContext>, usize>,
    /// canonical bytes of all row ids
    bytes: Vec<u8>,
    writer: RowWriter,
    context: ContextWriter,
    last: ContextWriter,
}

struct RowPlace {
    model: &'static ModelSpec,
    /// index in `contexts`
    context: usize,
    bytes: Range<usize>,
}

impl RowPlaces {
    /// Adds a row; refuses one whose context is invalid or outside `scope`.
    pub(crate) fn add<M: PiiModel>(&mut self, model: &M, scope: Option<&EncryptionContext>) -> Result<usize> {
        let spec = M::MODEL;
        let start = self.bytes.len();
        self.writer.clear();
        model.write_row(&mut self.writer);
        self.writer.finish_into(&mut self.bytes).map_err(|error| error.model(spec.name()))?;
        let bytes = start..self.bytes.len();
        self.context.clear();
        model.write_context(&mut self.context);
        let row = |error: Error| match row::display(self.bytes.get(bytes.clone()).unwrap_or_default()) {
            Some(row) => error.row(row).model(spec.name()),
            None => error.model(spec.name()),
        };
        let context = match self.rows.last() {
            Some(previous) if self.context.is_same(&self.last) => previous.context,
            _ => {
                let context = self.context.finish().map_err(row)?;
                match self.known.get(&context) {
                    Some(&known) => known,
                    None => {
                        let context = Arc::new(context);
                        self.contexts.push(Arc::clone(&context));
                        self.known.insert(context, self.contexts.len() - 1);
                        self.contexts.len() - 1
                    }
                }
            }
        };
        if let (Some(scope), Some(context)) = (scope, self.contexts.get(context)) {
            let differ = context.names_that_differ(scope);
            if !differ.is_empty() {
                return Err(row(Error::new(ErrorKind::ContextMismatch).message(format!(
                    "the row is outside the scope of this cryptor: `{}` differs",
                    differ.join("`, `")
                ))));
            }
        }
        std::mem::swap(&mut self.context, &mut self.last);
        self.rows.push(RowPlace { model: spec, context, bytes });
        Ok(self.rows.len() - 1)
    }

    /// The place of a slot of this row.
    pub(crate) fn place<'a>(&'a self, row: usize, walk: &'a Walk<'a>, slot: &Slot<'a>) -> Option<ValuePlace<'a>> {
        let place = self.rows.get(row)?;
        Some(ValuePlace {
            model: place.model,
            context: self.contexts.get(place.context)?,
            row: self.bytes.get(place.bytes.clone())?,
            field: slot.field,
            type_code: slot.ops.code,
            path: walk.path(slot),
        })
    }

    /// One row at a place that no model describes, for the test vectors.
    #[cfg(test)]
    pub(crate) fn of(model: &'static ModelSpec, context: EncryptionContext, row: Vec<u8>) -> Self {
        let place = RowPlace { model, context: 0, bytes: 0..row.len() };
        Self { rows: vec![place], contexts: vec![Arc::new(context)], bytes: row, ..Self::default() }
    }
}

/// Where one value belongs.
#[derive(Clone, Copy)]
pub struct ValuePlace<'a> {
    model: &'static ModelSpec,
    context: &'a Arc<EncryptionContext>,
    row: &'a [u8],
    field: &'static FieldSpec,
    type_code: TypeCode,
    path: &'a [PathStep<'a>],
}

/// How many different associated data a value may have because of `was`.
const MAX_ALTERNATIVES: usize = 64;

impl<'a> ValuePlace<'a> {
    /// The model.
    #[must_use]
    pub fn model(&self) -> &'static ModelSpec {
        self.model
    }

    /// The innermost field.
    #[must_use]
    pub fn field(&self) -> &'static FieldSpec {
        self.field
    }

    /// The type of the plaintext.
    #[must_use]
    pub fn type_code(&self) -> TypeCode {
        self.type_code
    }

    /// The encryption context under which the value is sealed or expected to be.
    #[must_use]
    pub fn context(&self) -> &'a Arc<EncryptionContext> {
        self.context
    }

    /// The row's id as a person reads it, or `None` where values are not bound to rows.
    #[must_use]
    pub fn row(&self) -> Option<String> {
        row::display(self.row)
    }

    /// Stable names from the model to the value, joined by dots; map keys are left out, because
    /// they may be personal.
    #[must_use]
    pub fn field_path(&self) -> String {
        let mut out = String::new();
        for step in self.path {
            match step {
                PathStep::Field(field) => {
                    if !out.is_empty() {
                        out.push('.');
                    }
                    out.push_str(field.name());
                }
                PathStep::Key(_) | PathStep::Element => out.push_str("[]"),
            }
        }
        out
    }

    /// Writes the associated data of FORMAT.md into `out`, replacing it.
    pub fn write_associated_data(&self, key_id: KeyId, out: &mut Vec<u8>) {
        let steps = self.path.iter().map(|step| match *step {
            PathStep::Field(field) => Step::Field(field.name()),
            PathStep::Key(key) => Step::Key(key),
            PathStep::Element => Step::Element,
        });
        self.binding(self.model.name(), steps).write(key_id, out);
    }

    /// How many places a stored value may have been sealed for: one, and more where `was` names
    /// earlier names of the model or of fields.
    #[must_use]
    pub fn alternatives(&self) -> usize {
        let fields = self.path.iter().map(|step| match step {
            PathStep::Field(field) => 1 + field.was().len(),
            PathStep::Key(_) | PathStep::Element => 1,
        });
        fields.fold(1 + self.model.was().len(), usize::saturating_mul).min(MAX_ALTERNATIVES)
    }

    /// As [`ValuePlace::write_associated_data`], for an alternative from 0 (today's names) up.
    pub fn write_alternative(&self, alternative: usize, key_id: KeyId, out: &mut Vec<u8>) {
        let mut rest = alternative;
        let mut choose = |now: &'static str, was: &'static [&'static str]| {
            let index = rest % (was.len() + 1);
            rest /= was.len() + 1;
            index.checked_sub(1).and_then(|index| was.get(index).copied()).unwrap_or(now)
        };
        let model = choose(self.model.name(), self.model.was());
        let steps: Vec<Step<'_>> = self
            .path
            .iter()
            .map(|step| match *step {
                PathStep::Field(field) => Step::Field(choose(field.name(), field.was())),
                PathStep::Key(key) => Step::Key(key),
                PathStep::Element => Step::Element,
            })
            .collect();
        self.binding(model, steps.into_iter()).write(key_id, out);
    }

    fn binding<Path>(&self, model: &'a str, path: Path) -> Binding<'a, Path> {
        Binding {
            level: self.field.level().number(),
            type_code: self.type_code.number(),
            model,
            path,
            context: self.context.canonical_bytes(),
            row: self.row,
        }
    }

    /// The hash that tells this place from others for the time of this process.
    pub(crate) fn stamp(&self) -> Place {
        static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::default);
        let mut hasher = KEYS.build_hasher();
        hasher.write_u8(self.type_code.number());
        hasher.write_u8(self.field.level().number());
        self.model.name().hash(&mut hasher);
        for step in self.path {
            match *step {
                PathStep::Field(field) => field.name().hash(&mut hasher),
                PathStep::Key(key) => (1_u8, key).hash(&mut hasher),
                PathStep::Element => hasher.write_u8(2),
            }
        }
        self.context.canonical_bytes().hash(&mut hasher);
        self.row.hash(&mut hasher);
        Place(hasher.finish())
    }

    /// Names model, field and row in an error.
    pub(crate) fn locate(&self, error: Error) -> Error {
        let error = error.field(self.model.name(), &self.field_path());
        match self.row() {
            Some(row) => error.row(row),
            None => error,
        }
    }
}

//! What the derive says about a struct: its fields, and a way to visit its sealed values.

mod field;
mod pii_schema;
pub(crate) mod probe;
mod spec;
mod subject;
mod walk;

pub use field::PiiField;
pub use pii_schema::{PiiSchema, PiiSchemaContext, PiiSchemaField};
pub use spec::{
    ContextPart, FieldRole, FieldSpec, Holds, LegacyFormat, Level, Mode, ModelSpec, PiiFieldInfo,
    PlaintextPolicy, RowBinding, TypeCode,
};
pub(crate) use spec::{sealed_field, sealed_fields};
pub(crate) use walk::{NodeName, PathStep, Slot};
pub use walk::{Walk, WalkMut};

use crate::{context::ContextWriter, row::RowWriter};

/// A struct with personal fields; implemented by `#[derive(PiiModel)]`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a PII model",
    label = "add `#[derive(PiiModel)]` and `#[pii(name = \"...\")]` to `{Self}`"
)]
pub trait PiiModel: Sized {
    /// The facts about the model that are known at compile time.
    const MODEL: &'static ModelSpec;

    /// Writes the encryption context of this row.
    fn write_context(&self, out: &mut ContextWriter);

    /// Writes the id of this row; nothing, if the model binds values to the field only.
    fn write_row(&self, out: &mut RowWriter);

    /// Visits every sealed value.
    fn visit<'a>(&'a self, walk: &mut Walk<'a>);

    /// Visits every sealed value in the same order, to change it.
    fn visit_mut<'a>(&'a mut self, walk: &mut WalkMut<'a>);

    /// The personal fields, those of nested structs included.
    ///
    /// ```
    /// # use pii_core::PiiModel;
    /// fn report<M: PiiModel>() {
    ///     for field in M::pii_fields() {
    ///         println!("{} has level {}", field.path, field.spec.level().number());
    ///     }
    /// }
    /// ```
    fn pii_fields() -> Vec<PiiFieldInfo> {
        PiiFieldInfo::of(Self::MODEL)
    }

    /// The same with the facts of the model, as a document: for jobs, reports and programs in other
    /// languages.
    ///
    /// ```
    /// # use pii_core::PiiModel;
    /// fn report<M: PiiModel>() -> String {
    ///     M::pii_schema().to_string() // JSON
    /// }
    /// ```
    #[must_use]
    fn pii_schema() -> PiiSchema {
        PiiSchema::of(Self::MODEL)
    }
}

//! What the derive says about a struct: its fields, and a way to visit its sealed values.

mod field;
mod pii_schema;
pub(crate) mod probe;
mod size;
mod spec;
mod subject;
mod walk;

pub use field::PiiField;
pub use pii_schema::{
    PiiSchema, PiiSchemaContext, PiiSchemaField, PiiSchemaIndex, PiiSchemaIndexField, PiiSchemaIndexVersion,
};
pub use spec::{
    ContextPart, FieldRole, FieldSpec, Holds, LegacyFormat, Level, Mode, ModelSpec, PiiFieldInfo,
    PlaintextPolicy, RowBinding, TypeCode,
};
pub(crate) use spec::{sealed_field, sealed_fields};
pub(crate) use walk::{NodeName, Path, PathStep, Slot};
pub use walk::{Walk, WalkMut};

use crate::{context::ContextWriter, error::Result, row::RowWriter, value::not_opened};

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

    /// Forgets the sealed texts of all values, so that the next save seals them anew: for a row whose id
    /// or context changes, or to move it to a new data key.
    ///
    /// ```
    /// # use pii_core as pii;
    /// # use pii::PiiModel;
    /// # async fn run<M: PiiModel>(cryptor: &pii::Cryptor, mut customer: M, change: fn(&mut M)) -> pii::Result<()> {
    /// cryptor.open(std::slice::from_mut(&mut customer)).await?; // as `.decrypt_pii()` does
    /// change(&mut customer); // of its id or tenant
    /// customer.reseal()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::State`](crate::ErrorKind::State) with the first field that has a value whose plaintext
    /// is not known; then nothing was changed.
    fn reseal(&mut self) -> Result<()> {
        let mut walk = Walk::default();
        self.visit(&mut walk);
        if let Some(slot) = walk.slots().iter().find(|slot| slot.cell.plain().is_none()) {
            return Err(not_opened().field(Self::MODEL.name(), slot.field.name()));
        }
        let mut walk = WalkMut::default();
        self.visit_mut(&mut walk);
        walk.cells.into_iter().for_each(|cell| {
            cell.reseal();
        });
        Ok(())
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

//! The masker.

use serde::Serialize;
use serde_json::Value;

use super::{
    FieldMask, MaskReport, MaskerBuilder, MissingPath,
    plan::Plan,
    rule::{Origin, Rule},
};
use crate::{
    error::{Error, ErrorKind, Result},
    json::{JsonPath, read_json, write_json},
    model::PiiModel,
};

/// Replaces personal data in JSON documents, with no way back.
///
/// It is built once, from rules that say where and how, and used for any number of documents, from any
/// thread. All paths are followed through the unchanged document before anything is replaced: a call
/// masks everything that the rules lead to, or fails and changes nothing.
///
/// ```
/// # use pii_core as pii;
/// use pii::{FieldMask, Mask, Masker};
///
/// let masker = Masker::builder()
///     .rule("customer.email", Mask::Email)?
///     .rule("card.number", FieldMask::last(4))?
///     .path("$..password")?
///     .build();
/// let mut order = serde_json::json!({
///     "id": 7,
///     "customer": { "email": "ada@example.com", "login": { "password": "Puff!" } },
///     "card": { "number": "4111111111111111" }
/// });
/// let report = masker.mask(&mut order)?;
/// assert_eq!(order, serde_json::json!({
///     "id": 7,
///     "customer": { "email": "a****@example.com", "login": { "password": "*****" } },
///     "card": { "number": "*****1111" }
/// }));
/// assert_eq!(report.masked(), 3);
/// # Ok::<(), pii::Error>(())
/// ```
///
/// Where two rules lead to the same value and don't agree how to show it, it is masked in full. What
/// lies inside an object that is replaced goes with it. The order of rules makes no difference.
#[derive(Debug, Clone)]
pub struct Masker {
    pub(super) rules: Vec<Rule>,
    pub(super) missing: MissingPath,
}

impl Masker {
    /// Starts with no rules.
    pub fn builder() -> MaskerBuilder {
        MaskerBuilder::default()
    }

    /// Masks whole documents in full: an object becomes `*****`, and so does each element of a list.
    #[must_use]
    pub fn everything() -> Self {
        Self::everything_with(FieldMask::full())
    }

    /// Masks whole documents.
    #[must_use]
    pub fn everything_with(mask: impl Into<FieldMask>) -> Self {
        Self {
            rules: vec![Rule::new(JsonPath::root(), mask.into(), Origin::Path)],
            missing: MissingPath::Error,
        }
    }

    /// Masks the JSON of a model, as its derived `Debug` masks it: all its personal fields, those of level 1 and
    /// of nested structs included, each by its own mask.
    ///
    /// Fields are found by the names that serde gives them, [`FieldSpec::attribute`](crate::FieldSpec::attribute).
    /// Where the JSON has other keys, the field is missing, which is an error; give the keys with
    /// [`MaskerBuilder::model_with`]. Text is masked by the field's mask, and in full where it is
    /// sealed; everything else is masked in full. A map of values is replaced whole, because its keys
    /// may be personal; a map of nested structs keeps its keys. Where null or an empty list or object stands
    /// in place of what holds a field, nothing is missing; any other object must have the field.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidPath`] if the path to a field would be beyond the limits of [`JsonPath`].
    pub fn of<M: PiiModel>() -> Result<Self> {
        Self::builder().model::<M>().map(MaskerBuilder::build)
    }

    /// Masks a document in place. The memory of what is replaced is wiped.
    ///
    /// # Errors
    /// [`ErrorKind::PathNotFound`] if a path leads to nothing, unless [`MissingPath`] says otherwise;
    /// [`ErrorKind::InvalidDocument`] if lists and objects are nested more than 127 deep. The document is
    /// unchanged then.
    pub fn mask(&self, document: &mut Value) -> Result<MaskReport> {
        self.plan(document)?.apply(document)
    }

    /// A masked copy of a document.
    ///
    /// # Errors
    /// As [`mask`](Self::mask).
    pub fn masked(&self, document: &Value) -> Result<Value> {
        let plan = self.plan(document)?;
        let mut copy = document.clone();
        plan.apply(&mut copy)?;
        Ok(copy)
    }

    /// Masks JSON text, given as text or as bytes.
    ///
    /// # Errors
    /// As [`mask`](Self::mask); and [`ErrorKind::InvalidDocument`] if it is not UTF-8 or not JSON, if
    /// something follows the document, if an object has a key twice, or if a whole number has more than 64
    /// bits. The last two can't be kept as they are.
    pub fn mask_json(&self, json: impl AsRef<[u8]>) -> Result<String> {
        self.mask_json_with_report(json).map(|(text, _)| text)
    }

    /// As [`mask_json`](Self::mask_json), and tells what was masked.
    ///
    /// # Errors
    /// As there.
    pub fn mask_json_with_report(&self, json: impl AsRef<[u8]>) -> Result<(String, MaskReport)> {
        let mut document = read_json(json.as_ref())?;
        let report = self.mask(&mut document.0)?;
        let text = serde_json::to_string(&document.0).map_err(|_| {
            Error::new(ErrorKind::InvalidDocument).message("the masked document can't be written as JSON")
        })?;
        Ok((text, report))
    }

    /// The masked JSON of any value that serde can write.
    ///
    /// # Errors
    /// As [`mask_json`](Self::mask_json); and [`ErrorKind::InvalidDocument`] if serde can't write the value as
    /// JSON, as with maps whose keys are not text, or with a plain value of a sealed field.
    pub fn mask_serialize(&self, value: &(impl Serialize + ?Sized)) -> Result<Value> {
        let mut document = read_json(write_json(value)?.expose())?;
        self.mask(&mut document.0)?;
        Ok(document.release())
    }

    fn plan(&self, document: &Value) -> Result<Plan<'_>> {
        Plan::new(&self.rules, self.missing, document)
    }
}

//! What the code of `#[derive(PiiModel)]` uses. Not part of the public interface: any release may
//! change it.

mod masking;
mod shape;
mod view;

pub use serde;

pub use self::{
    masking::{IN_CONTEXT, MaskAny, MaskOptional, MaskText, Personal, sealed_field},
    shape::{many_values, nested_struct, one_value},
    view::{ViewFit, fit, same_binding, same_context, same_ids, view_model},
};
pub use crate::{
    __if_sqlx_without_driver as if_sqlx,
    context::{ContextText, ContextValue, ContextWriter},
    mask::Mask,
    model::{
        ContextPart, FieldRole, FieldSpec, Holds, Level, Mode, ModelSpec, PiiField, PiiModel, PlaintextPolicy,
        RowBinding, Walk, WalkMut,
        probe::{AnyField, Probe, level_one, unmarked},
    },
    row::{RowId, RowWriter},
};
use crate::error::{Error, ErrorKind, Result};

/// Leaves its contents out; the crate that has the drivers exports one that keeps them.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_sqlx_without_driver {
    ($($item:tt)*) => {};
}

/// The value of a JSON column.
///
/// # Errors
/// [`ErrorKind::Malformed`], without serde's own message, which may quote the text.
pub fn from_json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(ErrorKind::Malformed).message(if error.is_data() {
            "the JSON in the column does not fit the field's type"
        } else {
            "the column does not hold valid JSON"
        })
    })
}

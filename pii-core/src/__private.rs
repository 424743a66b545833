//! What the code of `#[derive(PiiModel)]` and the adapters use. Not part of the public interface: any release may
//! change it.

mod masking;
mod shape;
mod silence;
mod stored_text;
mod view;

pub use serde;

pub use self::{
    masking::{IN_CONTEXT, MaskAny, MaskOptional, MaskText, Personal},
    shape::{legacy_text, many_values, nested_struct, normalized_text, one_value, padded_value},
    silence::silently,
    stored_text::{NoStoredText, StoredText},
    view::{ViewFit, fit, same_binding, same_context, same_ids, view_model},
};
pub use crate::{
    __if_dynamo_without_adapter as if_dynamo, __if_sqlx_without_driver as if_sqlx,
    context::{ContextText, ContextValue, ContextWriter},
    cryptor::{KnownRow, Placed, Rows},
    error::Result,
    index::IndexedValue,
    index::{
        IndexPart, IndexScope, IndexSearch, IndexSize, IndexSpec, IndexTermOf, IndexVersion, Normalizer,
    },
    mask::Mask,
    model::TypeCode,
    model::{
        ContextPart, FieldRole, FieldSpec, Holds, LegacyFormat, Level, Mode, ModelSpec, PiiField, PiiModel,
        PlaintextPolicy, RowBinding, Walk, WalkMut,
        probe::{AnyField, LevelOne, Probe, Unmarked},
    },
    query::{Filter, PlainColumn, SealedColumn},
    row::{RowId, RowWriter},
    secret::SecretBytes,
    value::{
        PiiEnum, PiiScalar, PiiValue, enum_bucket, enum_bytes, enum_from_plaintext, enum_value, is_enum,
    },
};

/// Leaves its contents out; the crate that has the adapter exports one that keeps them.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_dynamo_without_adapter {
    ($($item:tt)*) => {};
}

/// Formats of other systems, as far as the program has them: a field that names another one does not
/// compile.
pub mod legacy {
    /// `#[pii(legacy = "pydynox")]`
    #[cfg(feature = "pydynox")]
    pub const PYDYNOX: super::LegacyFormat = super::LegacyFormat::Pydynox;
}

/// Leaves its contents out; the crate that has the drivers exports one that keeps them.
#[doc(hidden)]
#[macro_export]
macro_rules! __if_sqlx_without_driver {
    ($($item:tt)*) => {};
}

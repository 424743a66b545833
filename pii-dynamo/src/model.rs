//! What generated code says about the key of a model.

use pii_core::{PiiModel, RowWriter};

use crate::key::KeyWriter;

/// A model whose items are stored in a table; implemented by `#[derive(PiiModel)]`.
///
/// The key of an item is the model's one id, or its partition key and sort key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be stored in a table of DynamoDB",
    label = "needs one field with `#[pii(partition_key)]`, and perhaps one with `#[pii(sort_key)]` after it, of types \
             that are `serde::Serialize` and `pii::RowId`"
)]
pub trait DynamoModel: PiiModel {
    /// The type of the partition key; a tuple of both where there is a sort key.
    type Id: Send + Sync;

    /// Writes the attributes of this key.
    fn write_key(id: &Self::Id, out: &mut KeyWriter);

    /// Writes the attributes of the model's own key.
    fn write_own_key(&self, out: &mut KeyWriter);

    /// Writes this key in the form in which it is bound into sealed values.
    fn write_id(id: &Self::Id, out: &mut RowWriter);

    /// Writes the model's own key in the same way.
    fn write_own_id(&self, out: &mut RowWriter);
}

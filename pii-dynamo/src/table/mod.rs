//! Tables: requests that this library makes itself.

mod delete;
mod get;
mod get_together;
mod load;
mod put;
mod update;
mod write;

use std::{fmt, marker::PhantomData, sync::Arc};

use aws_sdk_dynamodb::Client;
use pii_core::{Cryptor, Error, ErrorKind, PiiModel, Result};
use serde::{Serialize, de::DeserializeOwned};

pub use delete::Delete;
pub use get::{Get, GetOptional};
pub use get_together::GetTogether;
pub use put::Put;
pub use update::Update;
pub(crate) use write::{Wants, Write};

use crate::{model::DynamoModel, size};

/// The items of one table, as models.
///
/// Making one is cheap: make it where a request is handled, with a cryptor that is
/// [scoped](Cryptor::scoped) to that request's tenant.
///
/// Each method gives a builder, which does nothing until it is awaited. A request is sent only after
/// every value in it was sealed. The futures are `Send`.
pub struct DynamoTable<M> {
    client: Client,
    cryptor: Cryptor,
    /// or why there is none
    name: Result<Arc<str>>,
    /// the attribute that says which entity an item is, where several share the table
    entity: Option<Arc<str>>,
    model: PhantomData<fn() -> M>,
}

// The bounds stand on the functions: whoever breaks one is told which, and not that there is no `new`.
impl<M> DynamoTable<M> {
    /// The table that the model names: `#[pii(table = "customers")]`. If it names none, the first
    /// request says so.
    #[must_use]
    pub fn new(client: &Client, cryptor: &Cryptor) -> Self
    where
        M: PiiModel,
    {
        let nameless = || {
            Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .message("the model names no table")
                .help("write `#[pii(table = \"...\")]` on the struct, or use `DynamoTable::named`")
        };
        Self::of(client, cryptor, M::MODEL.table().map(Arc::from).ok_or_else(nameless))
    }

    /// A table of this name or ARN, with models that name another one or none.
    #[must_use]
    pub fn named(client: &Client, cryptor: &Cryptor, name: &str) -> Self
    where
        M: PiiModel,
    {
        Self::of(client, cryptor, Ok(Arc::from(name)))
    }

    fn of(client: &Client, cryptor: &Cryptor, name: Result<Arc<str>>) -> Self {
        Self { client: client.clone(), cryptor: cryptor.clone(), name, entity: None, model: PhantomData }
    }

    /// For a table that several models share: this attribute says which one an item is, by the model's
    /// stable name. Items that are put get it, and items of other models are as if they were not there.
    /// The model may have the attribute as a field of its own, which must hold that name then.
    #[must_use]
    pub fn entity(mut self, attribute: &str) -> Self {
        self.entity = Some(Arc::from(attribute));
        self
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// Writes an item, in place of one that has its key already. The model keeps its plaintext; the item
    /// gets the sealed texts.
    ///
    /// With a version field, an item that is there must have the model's version; either way the item's is
    /// one more than the model's afterwards. An item outside the scope of the cryptor is not replaced:
    /// [`ErrorKind::ContextMismatch`].
    pub fn put<'a>(&'a self, model: &'a M) -> Put<'a, M>
    where
        M: Serialize,
    {
        Put::new(self, model)
    }

    /// The item of this key. That it does not exist is an error; see [`Get::optional`].
    pub fn get(&self, id: impl Into<M::Id>) -> Get<'_, M>
    where
        M: DeserializeOwned,
    {
        Get::new(self, id.into())
    }

    /// The items of these keys, as they are at one moment: a transaction that reads. In the order of the
    /// keys, with `None` for an item that does not exist. At most 100.
    pub fn get_together(&self, ids: impl IntoIterator<Item = M::Id>) -> GetTogether<'_, M>
    where
        M: DeserializeOwned,
    {
        GetTogether::new(self, ids.into_iter().collect())
    }

    /// Writes every attribute of the item that has the model's key; those that are `None` are removed. Values
    /// that were loaded and not changed are written back as they are, without a key. That there is no such
    /// item, or not in the cryptor's scope, is [`ErrorKind::RowNotFound`].
    ///
    /// With a version field, the item must still have the model's version, and gets the next one:
    /// afterwards it is one more than in the model, which stays as it is. If someone else was faster,
    /// that is [`ErrorKind::Conflict`].
    pub fn update<'a>(&'a self, model: &'a M) -> Update<'a, M>
    where
        M: Serialize,
    {
        Update::new(self, model)
    }

    /// Deletes the item of this key. That it does not exist, or not in the cryptor's scope, is
    /// [`ErrorKind::RowNotFound`].
    pub fn delete(&self, id: impl Into<M::Id>) -> Delete<'_, M> {
        Delete::new(self, id.into())
    }

    /// The size of the item in bytes, as DynamoDB counts it, once it is stored. No key is asked for.
    /// Where data keys travel in the values and none was used yet, it is an upper bound.
    ///
    /// # Errors
    /// Those of a model that can't be sealed, such as an invalid context.
    pub fn item_size(&self, model: &M) -> Result<usize>
    where
        M: Serialize,
    {
        let sized = self.cryptor.sized(model).map_err(Self::failed)?;
        Ok(size::of_item(&self.item(&sized)?))
    }

    pub(crate) fn name(&self) -> Result<&str> {
        self.name.as_deref().map_err(Clone::clone)
    }
}

impl<M> Clone for DynamoTable<M> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            cryptor: self.cryptor.clone(),
            name: self.name.clone(),
            entity: self.entity.clone(),
            model: PhantomData,
        }
    }
}

impl<M> fmt::Debug for DynamoTable<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoTable")
            .field("name", &self.name)
            .field("cryptor", &self.cryptor)
            .finish_non_exhaustive()
    }
}

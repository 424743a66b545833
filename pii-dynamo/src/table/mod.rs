//! Tables: requests that this library makes itself.

mod get;
mod put;

use std::{fmt, marker::PhantomData, sync::Arc};

use aws_sdk_dynamodb::Client;
use pii_core::{Cryptor, Error, ErrorKind, PiiModel, Result};
use serde::{Serialize, de::DeserializeOwned};

pub use get::{Get, GetOptional};
pub use put::Put;

use crate::model::DynamoModel;

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
        Self { client: client.clone(), cryptor: cryptor.clone(), name, model: PhantomData }
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// Writes an item, in place of one that has its key already. The model keeps its plaintext; the item
    /// gets the sealed texts.
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

    fn name(&self) -> Result<&str> {
        self.name.as_deref().map_err(Clone::clone)
    }
}

impl<M> Clone for DynamoTable<M> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            cryptor: self.cryptor.clone(),
            name: self.name.clone(),
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

//! Tables: requests that this library makes itself.

mod clear_indexes;
mod delete;
mod fill_indexes;
mod find;
mod get;
mod get_many;
mod get_together;
mod index_duplicates;
mod index_pages;
mod load;
mod masked;
mod outcome;
mod pages;
mod put;
mod query;
mod read;
mod scan;
mod update;
mod write;
mod write_many;

use std::{fmt, marker::PhantomData, sync::Arc};

use aws_sdk_dynamodb::Client;
use pii_core::{Cryptor, Error, ErrorKind, IntoContext, PiiModel, Result, index::IndexSearch};
use serde::{Serialize, de::DeserializeOwned};

pub use clear_indexes::ClearIndexes;
pub use delete::Delete;
pub use fill_indexes::FillIndexes;
pub use find::{Exists, Find, FindOne, FindOptional};
pub use get::{Get, GetOptional};
pub use get_many::GetMany;
pub use get_together::GetTogether;
pub use index_duplicates::FindDuplicates;
pub use put::Put;
pub use query::Query;
pub use read::Page;
pub use scan::Scan;
pub use update::Update;
pub(crate) use write::{Wants, Write};
pub use write_many::{DeleteMany, PutMany, Written};

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

    /// Writes many items, in requests of 25, over whatever has their keys. Their values are sealed while the
    /// items before them are on their way, under keys that are asked for once.
    ///
    /// Items that DynamoDB leaves are sent again after a while. What is left in the end, or after a failure,
    /// is told by [`Written`]. Two items with the same key, and an item that can't be sealed among the
    /// first, are errors before anything is sent.
    pub fn put_many<'a>(&'a self, models: impl IntoIterator<Item = &'a M>) -> PutMany<'a, M>
    where
        M: Serialize,
    {
        PutMany::new(self, models.into_iter().collect())
    }

    /// Deletes many items, in requests of 25. Keys of items that do not exist are no error.
    pub fn delete_many<I: Into<M::Id>>(&self, ids: impl IntoIterator<Item = I>) -> DeleteMany<'_, M> {
        DeleteMany::new(self, ids.into_iter().map(Into::into).collect())
    }

    /// Reads many items, in requests of 100: in the order of the keys, `None` for those that do not exist.
    /// Keys that DynamoDB leaves are asked for again after a while; those that are left in the end are an
    /// error, of their own with [`GetMany::each`].
    pub fn get_many<I: Into<M::Id>>(&self, ids: impl IntoIterator<Item = I>) -> GetMany<'_, M>
    where
        M: DeserializeOwned,
    {
        GetMany::new(self, ids.into_iter().map(Into::into).collect())
    }

    /// The items with this partition key, in the order of their sort key. See [`Query`] for conditions,
    /// indexes, pages and streams.
    ///
    /// ```no_run
    /// # use pii::{DynamoTable, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
    /// # #[pii(name = "visit", table = "visits")]
    /// # struct Visit { #[pii(partition_key)] customer: String, #[pii(sort_key)] day: String, notes: EncryptedStr }
    /// # async fn run(visits: DynamoTable<Visit>) -> pii::Result<()> {
    /// let in_2026 = visits.query("c-1").sort_begins_with("2026-").decrypt_pii().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn query(&self, partition: impl Serialize) -> Query<'_, M>
    where
        M: DeserializeOwned,
    {
        Query::new(self, &partition)
    }

    /// The items that have a value, found by a blind index: `customers.find(Customer::by_email("acme", "ada@example.com"))`.
    ///
    /// The table needs a global secondary index, with all attributes projected, whose partition key is the
    /// attribute of the blind index, such as `email_bidx`, and which is called so too. With a
    /// [scoped](Cryptor::scoped) cryptor, items outside the scope are not found.
    pub fn find(&self, search: IndexSearch<M>) -> Find<'_, M>
    where
        M: DeserializeOwned,
    {
        Find::new(self, search)
    }

    /// Fills in the codes of items from before a blind index, or from before a new version of one: a job that
    /// scans the table. See [`FillIndexes`].
    ///
    /// ```no_run
    /// # use pii::{DynamoTable, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
    /// # #[pii(name = "customer", table = "customers")]
    /// # struct Customer { #[pii(partition_key)] id: String, #[pii(blind_index(normalize = "email"))] email: EncryptedStr }
    /// # async fn run(customers: DynamoTable<Customer>) -> pii::Result<()> {
    /// let report = customers.fill_indexes().await?;
    /// assert!(report.is_done(), "{report}: {:?}", report.failures);
    /// # Ok(())
    /// # }
    /// ```
    pub fn fill_indexes(&self) -> FillIndexes<'_, M>
    where
        M: DeserializeOwned + Send + Sync,
    {
        FillIndexes::new(self)
    }

    /// Looks for items that have the same value of a blind index, after normalising. Writes nothing, and needs no
    /// codes in the items: they are computed anew. See [`FindDuplicates`].
    pub fn index_duplicates(&self, index: &str) -> FindDuplicates<'_, M>
    where
        M: DeserializeOwned + Send + Sync,
    {
        FindDuplicates::new(self, index)
    }

    /// Removes the codes of all blind indexes from the items whose encryption context has these pairs, and says from
    /// how many: a part of erasing a person or a tenant, beside
    /// [`KeyAdmin::shred`](pii_core::KeyAdmin::shred). See [`ClearIndexes`].
    pub fn clear_indexes(&self, context: impl IntoContext) -> ClearIndexes<'_, M>
    where
        M: Sync,
    {
        ClearIndexes::new(self, context.into_context())
    }

    /// All items of the table, in no order. See [`Scan`] for parallel scans, pages and streams.
    pub fn scan(&self) -> Scan<'_, M>
    where
        M: DeserializeOwned,
    {
        Scan::new(self)
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

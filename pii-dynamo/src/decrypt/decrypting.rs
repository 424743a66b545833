//! Requests whose items are opened, all of them or an error.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use pii_core::{Cryptor, FieldSelection, PiiModel, Result};
use serde::de::DeserializeOwned;

use super::{
    each::EachItem,
    source::{ReadItems, ReadOnce, ReadPages},
};
use crate::open::until_error;

/// A request whose items are opened; made by [`DecryptItems::decrypt_pii`](crate::DecryptItems::decrypt_pii).
#[must_use = "a request does nothing before it is sent"]
pub struct Decrypting<'k, Q> {
    pub(super) request: Q,
    pub(super) cryptor: &'k Cryptor,
    pub(super) fields: FieldSelection,
    pub(super) entity: Option<String>,
}

/// The models of an answer, and the rest of it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<I, O> {
    /// The models: a `Vec` of them for Query, Scan and BatchGetItem; an `Option` for GetItem; for
    /// TransactGetItems a `Vec` with an `Option` for each item that was asked for, in that order.
    pub items: I,
    /// What the SDK gave, without the items that became models.
    pub output: O,
}

impl<'k, Q: ReadItems> Decrypting<'k, Q> {
    pub(super) fn new(request: Q, cryptor: &'k Cryptor) -> Self {
        Self { request, cryptor, fields: FieldSelection::All, entity: None }
    }

    /// Opens these fields only, by their stable names; the others stay sealed. A field that can't be
    /// opened, because of its mode, is an error then.
    pub fn fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// For a table that several models share: this attribute says which one an item is, by the model's
    /// stable name; see [`DynamoTable::entity`](crate::DynamoTable::entity). Items of other models stay in
    /// the SDK's output.
    pub fn entity(mut self, attribute: &str) -> Self {
        self.entity = Some(attribute.to_owned());
        self
    }

    /// Gives a result for each item, so that one that can't be read or opened does not hide the others.
    pub fn each(self) -> EachItem<'k, Q> {
        EachItem(self)
    }
}

impl<Q: ReadOnce> Decrypting<'_, Q> {
    /// Sends the request, and opens the items of its answer.
    ///
    /// Of a BatchGetItem, DynamoDB may leave keys unprocessed: they are in the output.
    /// [`DynamoTable::get_many`](crate::DynamoTable::get_many) asks for them again by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](pii_core::ErrorKind) for a projection that drops what values are bound
    /// to, before anything is sent; errors of the database; an item that can't be read, or those of
    /// [`Cryptor::open_each`].
    pub async fn send<M>(self) -> Result<Opened<Q::Found<M>, Q::Output>>
    where
        M: PiiModel + DeserializeOwned + Send,
    {
        let Opened { items, output } = self.each().answer::<M>().await?;
        Ok(Opened { items: Q::arrange(all(items)?), output })
    }
}

impl<'k, Q: ReadPages> Decrypting<'k, Q> {
    /// The pages, of at most 1 MB each, up to the first error. A page is asked for when it is wanted, and
    /// opened in one batch.
    pub fn pages<M>(self) -> BoxStream<'k, Result<Opened<Vec<M>, Q::Output>>>
    where
        M: PiiModel + DeserializeOwned + Send + 'k,
        Q: 'k,
    {
        let pages = self.each().pages::<M>().map(|page| {
            let Opened { items, output } = page?;
            Ok(Opened { items: items.into_iter().collect::<Result<_>>()?, output })
        });
        until_error(pages.boxed())
    }

    /// The items one after the other, up to the first error. See [`pages`](Self::pages).
    ///
    /// ```no_run
    /// # use pii::{Cryptor, DecryptItems, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Deserialize)]
    /// # #[pii(name = "customer")]
    /// # struct Customer { #[pii(partition_key)] id: String, email: EncryptedStr }
    /// use futures_util::TryStreamExt;
    ///
    /// # async fn run(client: aws_sdk_dynamodb::Client, cryptor: Cryptor) -> pii::Result<()> {
    /// let mut customers = client.scan().table_name("customers").decrypt_pii(&cryptor).stream::<Customer>();
    /// while let Some(customer) = customers.try_next().await? {
    ///     println!("{customer:?}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<M>(self) -> BoxStream<'k, Result<M>>
    where
        M: PiiModel + DeserializeOwned + Send + 'k,
        Q: 'k,
    {
        // by way of single results: the good items before a bad one are given
        until_error(self.each().stream())
    }
}

/// Results in their places, or the first error.
fn all<M>(items: Vec<Option<Result<M>>>) -> Result<Vec<Option<M>>> {
    items.into_iter().map(Option::transpose).collect()
}

/// The items of pages.
pub(super) fn items_of<'k, M: Send + 'k, O: Send + 'k>(
    pages: BoxStream<'k, Result<Opened<Vec<Result<M>>, O>>>,
) -> BoxStream<'k, Result<M>> {
    let items = pages.map_ok(|page| stream::iter(page.items));
    items.try_flatten().boxed()
}

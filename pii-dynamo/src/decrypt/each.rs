//! Requests whose items are opened, each for itself.

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use pii_core::{PiiModel, Result};
use serde::de::DeserializeOwned;

use super::{
    decrypting::{Decrypting, Opened, items_of},
    request::Context,
    source::{PagesOf, ReadOnce, ReadPages},
};
use crate::open;

/// A request with a result for each item; made by [`Decrypting::each`].
///
/// ```no_run
/// # use pii::{Cryptor, DecryptItems, EncryptedStr, PiiModel};
/// # #[derive(PiiModel, serde::Deserialize)]
/// # #[pii(name = "customer")]
/// # struct Customer { #[pii(partition_key)] id: String, email: EncryptedStr }
/// # async fn run(client: aws_sdk_dynamodb::Client, cryptor: Cryptor) -> pii::Result<()> {
/// let scan = client.scan().table_name("customers");
/// for item in scan.decrypt_pii(&cryptor).each().send::<Customer>().await?.items {
///     match item {
///         Ok(customer) => println!("{customer:?}"),
///         Err(error) => println!("skipped: {error}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a request does nothing before it is sent"]
pub struct EachItem<'k, Q>(pub(super) Decrypting<'k, Q>);

impl<Q: ReadOnce> EachItem<'_, Q> {
    /// Sends the request, and opens the items of its answer, each with its own result.
    ///
    /// # Errors
    /// What has nothing to do with single items; see [`Decrypting::send`].
    pub async fn send<M>(self) -> Result<Opened<Q::Found<Result<M>>, Q::Output>>
    where
        M: PiiModel + DeserializeOwned + Send,
    {
        let Opened { items, output } = self.answer::<M>().await?;
        Ok(Opened { items: Q::arrange(items), output })
    }

    pub(super) async fn answer<M>(self) -> Result<Opened<Vec<Option<Result<M>>>, Q::Output>>
    where
        M: PiiModel + DeserializeOwned + Send,
    {
        let Decrypting { request, cryptor, fields, entity } = self.0;
        let context = Context::<M, Q>::new(&request, cryptor, entity)?;
        open::check::<M>(cryptor, &fields).await?;
        let output = request.dispatch().await.map_err(|error| context.failed(error))?;
        context.open(output, cryptor, &fields).await
    }
}

/// A page with a result for each item.
type EachOpened<M, O> = Opened<Vec<Result<M>>, O>;

impl<'k, Q: ReadPages> EachItem<'k, Q> {
    /// The pages, of at most 1 MB each, with a result for each item. What has nothing to do with single
    /// items ends the stream. See [`Decrypting::pages`].
    pub fn pages<M>(self) -> BoxStream<'k, Result<EachOpened<M, Q::Output>>>
    where
        M: PiiModel + DeserializeOwned + Send + 'k,
        Q: 'k,
    {
        enum State<M, Q: ReadPages> {
            Unsent(Q),
            Sent(Context<M, Q>, PagesOf<Q>),
        }
        let Decrypting { request, cryptor, fields, entity } = self.0;
        let first = State::<M, Q>::Unsent(request);
        stream::try_unfold((first, fields, entity), move |(state, fields, mut entity)| async move {
            let (context, mut pages) = match state {
                State::Unsent(request) => {
                    let context = Context::new(&request, cryptor, entity.take())?;
                    open::check::<M>(cryptor, &fields).await?;
                    (context, request.into_pages())
                }
                State::Sent(context, pages) => (context, pages),
            };
            let Some(output) = pages.next().await else { return Ok(None) };
            let output = output.map_err(|error| context.failed(error))?;
            let Opened { items, output } = context.open(output, cryptor, &fields).await?;
            let page = Opened { items: items.into_iter().flatten().collect(), output };
            Ok(Some((page, (State::Sent(context, pages), fields, entity))))
        })
        .fuse()
        .boxed()
    }

    /// The items one after the other, each with its own result. What has nothing to do with single items
    /// ends the stream.
    pub fn stream<M>(self) -> BoxStream<'k, Result<M>>
    where
        M: PiiModel + DeserializeOwned + Send + 'k,
        Q: 'k,
    {
        items_of(self.pages::<M>())
    }
}

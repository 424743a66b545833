//! Several items of several tables, written together or not at all.

mod action;
mod sealed;

use std::{
    fmt,
    future::{Future, IntoFuture},
};

use action::{Action, Verb};
use aws_sdk_dynamodb::{Client, error::BuildError, types::CancellationReason};
use futures_core::future::BoxFuture;
use futures_util::future::join_all;
use pii_core::{Error, ErrorKind, Result};
pub use sealed::SealedTransaction;
use serde::Serialize;

use crate::{
    key::Key,
    model::DynamoModel,
    table::{DynamoTable, Write},
};

/// The most actions of one transaction, and the most items that one reads: the Developer Guide, "Amazon
/// DynamoDB Transactions: How it works".
pub(crate) const MAX_ACTIONS: usize = 100;

/// The most bytes that the items of one transaction have together, by the same page.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// Writes to several items, of several models and tables, which all happen or none. Awaiting it seals all
/// values first, and then sends one TransactWriteItems.
///
/// Each action does what the method of the same name does on [`DynamoTable`], under the same conditions, with
/// the table's cryptor. If one of the conditions does not hold, nothing is written and the error is the one of
/// that item, as its own method would give it.
///
/// More than 100 actions, more than 4 MB, and two actions on one item are refused before anything is sent. Of
/// an update and a delete only what is sent is counted: the item that is stored may make it too large yet.
///
/// ```no_run
/// use pii::{DynamoTable, DynamoTransaction, EncryptedStr, PiiModel};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(PiiModel, Serialize, Deserialize)]
/// #[pii(name = "account", table = "accounts")]
/// struct Account {
///     #[pii(partition_key)]
///     number: String,
///     holder: EncryptedStr,
///     cents: i64,
///     #[pii(version)]
///     version: u64,
/// }
///
/// # async fn run(
/// #     client: aws_sdk_dynamodb::Client, accounts: DynamoTable<Account>, from: &mut Account, to: &mut Account,
/// # ) -> pii::Result<()> {
/// from.cents -= 500;
/// to.cents += 500;
/// DynamoTransaction::new(&client)
///     .update_fields(&accounts, from, ["cents"])
///     .update_fields(&accounts, to, ["cents"])
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is written before this is awaited"]
pub struct DynamoTransaction<'a> {
    client: Client,
    actions: Vec<Action<'a>>,
}

impl<'a> DynamoTransaction<'a> {
    /// A transaction without actions yet, which this client will send. The tables' own clients are asked only
    /// why a condition did not hold.
    pub fn new(client: &Client) -> Self {
        Self { client: client.clone(), actions: Vec::new() }
    }

    /// Writes an item, in place of one that has its key already; see [`DynamoTable::put`].
    pub fn put<M>(self, table: &'a DynamoTable<M>, model: &'a M) -> Self
    where
        M: DynamoModel + Serialize + Sync,
    {
        self.with(Verb::Put, table, Key::of_model(model), table.write_put(model, false))
    }

    /// Writes a new item only: that one has the key already is [`ErrorKind::Conflict`]. A version is stored as
    /// the model has it.
    pub fn put_if_absent<M>(self, table: &'a DynamoTable<M>, model: &'a M) -> Self
    where
        M: DynamoModel + Serialize + Sync,
    {
        self.with(Verb::Put, table, Key::of_model(model), table.write_put(model, true))
    }

    /// Writes every attribute of an item that is there; see [`DynamoTable::update`].
    pub fn update<M>(self, table: &'a DynamoTable<M>, model: &'a M) -> Self
    where
        M: DynamoModel + Serialize + Sync,
    {
        self.with(Verb::Update, table, Key::of_model(model), table.write_update(model, None))
    }

    /// Writes these fields only, plain or sealed, by their stable names.
    pub fn update_fields<M, S: Into<String>>(
        self,
        table: &'a DynamoTable<M>,
        model: &'a M,
        names: impl IntoIterator<Item = S>,
    ) -> Self
    where
        M: DynamoModel + Serialize + Sync,
    {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.with(Verb::Update, table, Key::of_model(model), async move {
            table.write_update(model, Some(&names)).await
        })
    }

    /// Deletes the item of this key, which must be there and in the scope; see [`DynamoTable::delete`].
    pub fn delete<M: DynamoModel>(self, table: &'a DynamoTable<M>, id: impl Into<M::Id>) -> Self {
        let id = id.into();
        let write = table.write_delete(&id);
        self.with(Verb::Delete, table, Key::of::<M>(&id), std::future::ready(write))
    }

    /// Writes nothing to the item of this key; it must be there and in the scope, or it is
    /// [`ErrorKind::RowNotFound`].
    pub fn check<M: DynamoModel>(self, table: &'a DynamoTable<M>, id: impl Into<M::Id>) -> Self {
        let id = id.into();
        let write = table.write_delete(&id);
        self.with(Verb::Check, table, Key::of::<M>(&id), std::future::ready(write))
    }

    /// Writes nothing to the item that has the model's key; it must still have the model's version, or it is
    /// [`ErrorKind::Conflict`].
    pub fn check_version<M>(self, table: &'a DynamoTable<M>, model: &'a M) -> Self
    where
        M: DynamoModel + Serialize + Sync,
    {
        self.with(Verb::Check, table, Key::of_model(model), table.write_check_version(model))
    }

    fn with<M: DynamoModel>(
        mut self,
        verb: Verb,
        table: &'a DynamoTable<M>,
        key: Result<Key>,
        write: impl Future<Output = Result<Write>> + Send + 'a,
    ) -> Self {
        self.actions.push(Action { verb, table, key, write: Box::pin(write) });
        self
    }

    /// Seals all values and sends nothing yet. What this gives may be sent again if no answer came: it is still
    /// one transaction.
    ///
    /// ```no_run
    /// # use pii::{DynamoTable, DynamoTransaction, EncryptedStr, PiiModel};
    /// # #[derive(PiiModel, serde::Serialize, serde::Deserialize)]
    /// # #[pii(name = "customer", table = "customers")]
    /// # struct Customer { #[pii(partition_key)] id: String, email: EncryptedStr }
    /// # async fn run(
    /// #     client: aws_sdk_dynamodb::Client, customers: DynamoTable<Customer>, ada: Customer,
    /// # ) -> pii::Result<()> {
    /// let transaction = DynamoTransaction::new(&client).put(&customers, &ada).seal().await?;
    /// match transaction.send().await {
    ///     Err(error) if error.is_retryable() => transaction.send().await?, // happens once, in either case
    ///     sent => sent?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of sealing, and [`ErrorKind::TooLarge`] or [`ErrorKind::Configuration`] for what DynamoDB would
    /// refuse.
    pub async fn seal(self) -> Result<SealedTransaction<'a>> {
        let Self { client, actions } = self;
        if actions.len() > MAX_ACTIONS {
            return Err(too_many(actions.len()));
        }
        refuse_twice(&actions)?;
        let (mut about, mut writes) = (Vec::new(), Vec::new());
        for action in actions {
            about.push((action.verb, action.table));
            writes.push(action.write);
        }
        // at the same time: those that need the same key ask for it once
        let writes = join_all(writes).await.into_iter().collect::<Result<Vec<_>>>()?;
        SealedTransaction::of(client, about.into_iter().zip(writes))
    }
}

fn refuse_twice(actions: &[Action<'_>]) -> Result<()> {
    let mut seen: Vec<(&str, &Key)> = Vec::with_capacity(actions.len());
    for action in actions {
        let (name, key) = (action.table.name()?, action.key.as_ref().map_err(Clone::clone)?);
        if seen.iter().any(|(other, known)| *other == name && known.attributes == key.attributes) {
            return Err(twice(name).model(action.table.model().name()).row(&key.row));
        }
        seen.push((name, key));
    }
    Ok(())
}

impl<'a> IntoFuture for DynamoTransaction<'a> {
    type Output = Result<()>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.seal().await?.send().await })
    }
}

impl fmt::Debug for DynamoTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoTransaction").field("actions", &self.actions.len()).finish_non_exhaustive()
    }
}

pub(crate) fn too_many(count: usize) -> Error {
    Error::new(ErrorKind::TooLarge)
        .message(format!("a transaction has at most {MAX_ACTIONS} items; this one has {count}"))
        .help("what need not happen together can go into several transactions, or into a batch")
}

pub(crate) fn twice(table: &str) -> Error {
    Error::new(ErrorKind::Configuration).message(format!(
        "a transaction may name an item only once; this one of the table `{table}` is there twice"
    ))
}

pub(crate) fn not_built(error: BuildError) -> Error {
    Error::new(ErrorKind::Configuration).message("the SDK could not make a request").source(error)
}

/// Why this part of a transaction failed, if it is the one that did.
pub(crate) fn code(reason: &CancellationReason) -> Option<&str> {
    reason.code().filter(|code| *code != "None")
}

//! Many items, in requests of 25.

use std::{collections::HashSet, future::IntoFuture};

use aws_sdk_dynamodb::{
    error::ProvideErrorMetadata as _,
    types::{DeleteRequest, PutRequest, WriteRequest},
};
use futures_core::future::BoxFuture;
use futures_util::future::join;
use pii_core::{Error, ErrorKind, FieldRole, PiiModel, Result};
use serde::Serialize;

use super::DynamoTable;
use crate::{
    backoff::{ATTEMPTS, Backoff},
    error::from_sdk,
    item::Item,
    key::Key,
    model::DynamoModel,
    scope, size,
};

/// DynamoDB's limit.
const ITEMS_PER_REQUEST: usize = 25;

/// What became of many items. Nothing of it is undone: what is left can be written in a later call.
#[derive(Debug)]
#[must_use = "some items may not have been written"]
#[non_exhaustive]
pub struct Written {
    /// How many items were written, or deleted.
    pub done: usize,
    /// The positions, in the order given, of those that were not.
    pub left: Vec<usize>,
    /// Why they were not.
    pub reason: Option<Error>,
}

impl Written {
    /// How many items were written or deleted, if all of them were.
    ///
    /// # Errors
    /// Why some were not.
    pub fn all(self) -> Result<usize> {
        match self.reason {
            Some(error) => Err(error),
            None => Ok(self.done),
        }
    }
}

/// Requests of BatchWriteItem; made by [`DynamoTable::put_many`].
#[must_use = "nothing is written before this is awaited"]
pub struct PutMany<'a, M> {
    table: &'a DynamoTable<M>,
    models: Vec<&'a M>,
    options: Options,
}

#[derive(Clone, Copy)]
struct Options {
    attempts: u32,
    unconditionally: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { attempts: ATTEMPTS, unconditionally: false }
    }
}

impl<'a, M> PutMany<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, models: Vec<&'a M>) -> Self {
        Self { table, models, options: Options::default() }
    }

    /// Writes over whatever has the keys, also where a scope or a version would want a condition, which
    /// these requests can't have.
    pub fn unconditionally(mut self) -> Self {
        self.options.unconditionally = true;
        self
    }

    /// How often in a row items that DynamoDB left are sent again without any being taken; 10 by default,
    /// which takes about 20 seconds.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }
}

impl<M: DynamoModel + Serialize + Sync> PutMany<'_, M> {
    async fn run(self) -> Result<Written> {
        let Self { table, models, options } = self;
        table.check_unconditional(options)?;
        let keys = models.iter().map(|model| Key::of_model(*model)).collect::<Result<Vec<_>>>()?;
        let mut seen = HashSet::new();
        if let Some(twice) = keys.iter().find(|key| !seen.insert(&key.row)) {
            return Err(Error::new(ErrorKind::Configuration)
                .model(M::MODEL.name())
                .row(&twice.row)
                .message("two of the items have the same key"));
        }
        let mut writer = Writer::new(table, options.attempts)?;
        // whatever keys the whole call needs are asked for at once
        table.cryptor.prepare(models.iter().copied()).await.map_err(DynamoTable::<M>::failed)?;
        let mut chunks = models.chunks(ITEMS_PER_REQUEST).zip(keys.chunks(ITEMS_PER_REQUEST));
        let Some((first, first_keys)) = chunks.next() else { return Ok(writer.finish()) };
        let mut sealed = table.put_requests(first, first_keys, 0).await?;
        let mut start = first.len();
        for (chunk, keys) in chunks {
            // the next ones are sealed while these are on their way
            let ((), next) = join(writer.send(sealed), table.put_requests(chunk, keys, start)).await;
            match next {
                Ok(requests) => sealed = requests,
                Err(error) => {
                    writer.give_up(start..models.len(), error);
                    return Ok(writer.finish());
                }
            }
            start += chunk.len();
        }
        writer.send(sealed).await;
        Ok(writer.finish())
    }
}

impl<'a, M: DynamoModel + Serialize + Sync> IntoFuture for PutMany<'a, M> {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Requests of BatchWriteItem; made by [`DynamoTable::delete_many`].
#[must_use = "nothing is deleted before this is awaited"]
pub struct DeleteMany<'a, M: DynamoModel> {
    table: &'a DynamoTable<M>,
    ids: Vec<M::Id>,
    options: Options,
}

impl<'a, M: DynamoModel> DeleteMany<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, ids: Vec<M::Id>) -> Self {
        Self { table, ids, options: Options::default() }
    }

    /// Deletes whatever has the keys, also where a scope or a version would want a condition, which these
    /// requests can't have.
    pub fn unconditionally(mut self) -> Self {
        self.options.unconditionally = true;
        self
    }

    /// As [`PutMany::attempts`].
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.options.attempts = attempts;
        self
    }

    async fn run(self) -> Result<Written> {
        let Self { table, ids, options } = self;
        table.check_unconditional(options)?;
        let keys = ids.iter().map(Key::of::<M>).collect::<Result<Vec<_>>>()?;
        let mut writer = Writer::new(table, options.attempts)?;
        let mut seen = HashSet::new();
        let mut requests = Vec::new();
        for (position, key) in keys.iter().enumerate() {
            if !seen.insert(&key.row) {
                // a key that was named twice is deleted once
                writer.done += 1;
                continue;
            }
            let request = DeleteRequest::builder().set_key(Some(key.clone().into_item())).build();
            let request = request.map_err(|_| Error::new(ErrorKind::Configuration))?;
            requests.push(Request {
                position,
                key: key.clone(),
                write: WriteRequest::builder().delete_request(request).build(),
            });
        }
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            writer.send(requests.by_ref().take(ITEMS_PER_REQUEST).collect()).await;
        }
        Ok(writer.finish())
    }
}

impl<'a, M: DynamoModel> IntoFuture for DeleteMany<'a, M> {
    type Output = Result<Written>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// Refuses to write without conditions where single requests would have one.
    fn check_unconditional(&self, options: Options) -> Result<()> {
        self.name()?;
        let keys = M::MODEL.fields().iter().filter(|field| field.role().is_id());
        let keys: Vec<_> = keys.map(|field| field.attribute()).collect();
        let bounds = scope::bounds::<M>(&self.cryptor)?;
        let is_scoped = bounds.iter().any(|bound| !keys.contains(&bound.attribute));
        let is_versioned = M::MODEL.fields().iter().any(|field| field.role() == FieldRole::Version);
        if options.unconditionally || !(is_scoped || is_versioned) {
            return Ok(());
        }
        let (what, why) = if is_scoped {
            ("the cryptor is scoped", "an item of another tenant could have one of the keys")
        } else {
            ("the model has a version", "an item could have changed meanwhile")
        };
        Err(Error::new(ErrorKind::Configuration)
            .model(M::MODEL.name())
            .message(format!("{what}, and requests for many items have no conditions: {why}"))
            .help("write the items one by one or in a transaction, or say `.unconditionally()`"))
    }

    async fn put_requests(&self, models: &[&M], keys: &[Key], start: usize) -> Result<Vec<Request>>
    where
        M: Serialize,
    {
        let name = self.name()?;
        let sealed = self.cryptor.sealed_each(models.iter().copied()).await.map_err(Self::failed)?;
        let mut requests = Vec::with_capacity(sealed.len());
        for ((sealed, key), position) in sealed.iter().zip(keys).zip(start..) {
            let item = self.item(sealed)?;
            size::check(&item, M::MODEL, name).map_err(|error| error.row(&key.row))?;
            let request = PutRequest::builder().set_item(Some(item)).build();
            let request = request.map_err(|_| Error::new(ErrorKind::Configuration))?;
            requests.push(Request {
                position,
                key: key.clone(),
                write: WriteRequest::builder().put_request(request).build(),
            });
        }
        Ok(requests)
    }
}

/// One item that is to be written.
struct Request {
    position: usize,
    key: Key,
    write: WriteRequest,
}

impl Request {
    /// Whether a request that came back is this one.
    fn is(&self, other: &WriteRequest) -> bool {
        let item: Option<&Item> = match (&other.put_request, &other.delete_request) {
            (Some(put), _) => Some(&put.item),
            (None, Some(delete)) => Some(&delete.key),
            (None, None) => None,
        };
        item.is_some_and(|item| {
            self.key.attributes.iter().all(|(name, value)| item.get(*name) == Some(value))
        })
    }
}

/// Sends requests, and those again that DynamoDB leaves.
struct Writer<'a, M> {
    table: &'a DynamoTable<M>,
    backoff: Backoff,
    done: usize,
    left: Vec<usize>,
    reason: Option<Error>,
}

impl<'a, M: PiiModel> Writer<'a, M> {
    fn new(table: &'a DynamoTable<M>, attempts: u32) -> Result<Self> {
        let backoff = Backoff::new(&table.client, attempts)?;
        Ok(Self { table, backoff, done: 0, left: Vec::new(), reason: None })
    }

    /// Sends at most as many requests as one call takes. After a failure nothing more is sent.
    async fn send(&mut self, mut requests: Vec<Request>) {
        while !requests.is_empty() {
            if self.reason.is_some() {
                self.left.extend(requests.iter().map(|request| request.position));
                return;
            }
            match self.attempt(&requests).await {
                Ok(unprocessed) => {
                    let before = requests.len();
                    requests.retain(|request| unprocessed.iter().any(|other| request.is(other)));
                    self.done += before - requests.len();
                    if requests.len() < before {
                        self.backoff.reset();
                    }
                }
                Err(error) if error.kind() == ErrorKind::DatabaseThrottled => {}
                Err(error) => {
                    self.reason = Some(error);
                    continue;
                }
            }
            if requests.is_empty() {
                return;
            }
            match self.backoff.again().await {
                Ok(true) => {}
                Ok(false) => self.reason = Some(self.throttled()),
                Err(error) => self.reason = Some(error),
            }
        }
    }

    async fn attempt(&self, requests: &[Request]) -> Result<Vec<WriteRequest>> {
        let name = self.table.name.as_deref().map_err(Clone::clone)?;
        let writes = requests.iter().map(|request| request.write.clone()).collect();
        let sent = self.table.client.batch_write_item().request_items(name, writes).send().await;
        let answer = sent.map_err(|error| {
            let is_known = error.code().is_some();
            let error = from_sdk(error, M::MODEL, name);
            if is_known { error } else { error.help("it is not known whether the items were written") }
        })?;
        Ok(answer.unprocessed_items.unwrap_or_default().into_values().flatten().collect())
    }

    fn throttled(&self) -> Error {
        let name = self.table.name.as_deref().unwrap_or_default();
        Error::new(ErrorKind::DatabaseThrottled)
            .model(M::MODEL.name())
            .message(format!("the table `{name}` left items again and again"))
            .help("write those that are left later; look at the table's capacity")
    }

    fn give_up(&mut self, positions: std::ops::Range<usize>, error: Error) {
        self.left.extend(positions);
        self.reason.get_or_insert(error);
    }

    fn finish(self) -> Written {
        Written { done: self.done, left: self.left, reason: self.reason }
    }
}

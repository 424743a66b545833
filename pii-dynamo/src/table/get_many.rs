//! Many items by their keys, in requests of 100.

use std::{collections::HashMap, future::IntoFuture};

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures_core::future::BoxFuture;
use pii_core::{Error, ErrorKind, FieldSelection, Result};
use serde::de::DeserializeOwned;

use super::DynamoTable;
use crate::{
    backoff::{ATTEMPTS, Backoff},
    error::from_sdk,
    item::Item,
    key::Key,
    model::DynamoModel,
};

/// DynamoDB's limit.
const KEYS_PER_REQUEST: usize = 100;

/// Requests of BatchGetItem; made by [`DynamoTable::get_many`]. Awaited, it gives the items in the order of
/// the keys, `None` for those that do not exist.
#[must_use = "nothing is read before this is awaited"]
pub struct GetMany<'a, M: DynamoModel> {
    table: &'a DynamoTable<M>,
    ids: Vec<M::Id>,
    fields: FieldSelection,
    is_consistent: bool,
    attempts: u32,
}

impl<'a, M: DynamoModel> GetMany<'a, M> {
    pub(super) fn new(table: &'a DynamoTable<M>, ids: Vec<M::Id>) -> Self {
        Self { table, ids, fields: FieldSelection::Nothing, is_consistent: false, attempts: ATTEMPTS }
    }

    /// Opens every field whose mode allows it.
    pub fn decrypt_pii(mut self) -> Self {
        self.fields = FieldSelection::All;
        self
    }

    /// Opens these fields only, by their stable names; the others stay sealed.
    pub fn decrypt_fields<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.fields = FieldSelection::only(names);
        self
    }

    /// Reads what was written last, instead of what a replica may still have.
    pub fn consistent(mut self) -> Self {
        self.is_consistent = true;
        self
    }

    /// How often in a row keys that DynamoDB left are asked for again without any being read; 10 by
    /// default, which takes about 20 seconds.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }
}

impl<M: DynamoModel + DeserializeOwned + Send> GetMany<'_, M> {
    /// The items in the order of the keys, each with its own result: one that is damaged, or that DynamoDB
    /// did not give, does not hide the others.
    ///
    /// # Errors
    /// What concerns all of them.
    pub async fn each(self) -> Result<Vec<Result<Option<M>>>> {
        let Self { table, ids, fields, is_consistent, attempts } = self;
        table.check(&fields).await?;
        let keys = ids.iter().map(Key::of::<M>).collect::<Result<Vec<_>>>()?;
        let mut wanted: Vec<&Key> = Vec::new();
        let mut position = HashMap::new();
        for key in &keys {
            // a key that is named twice is asked for once
            position.entry(&key.row).or_insert_with(|| {
                wanted.push(key);
                wanted.len() - 1
            });
        }
        let mut found: Vec<Option<Item>> = wanted.iter().map(|_| None).collect();
        let mut unread = HashMap::new();
        let mut backoff = Backoff::new(&table.client, attempts)?;
        for (start, chunk) in (0..).step_by(KEYS_PER_REQUEST).zip(wanted.chunks(KEYS_PER_REQUEST)) {
            let mut left: Vec<usize> = (start..start + chunk.len()).collect();
            while !left.is_empty() {
                let asked =
                    left.iter().filter_map(|at| wanted.get(*at)).map(|key| (*key).clone().into_item());
                match table.ask_for(asked.collect(), is_consistent).await {
                    Ok((items, unprocessed)) => {
                        let has_key =
                            |at: &usize, item: &Item| wanted.get(*at).is_some_and(|key| key.is_of(item));
                        // of those that this request asked for, however many there are in all
                        for item in items {
                            let at = left.iter().find(|at| has_key(at, &item));
                            if let Some(slot) = at.and_then(|at| found.get_mut(*at)) {
                                *slot = Some(item);
                            }
                        }
                        let before = left.len();
                        left.retain(|at| unprocessed.iter().any(|other| has_key(at, other)));
                        if left.len() < before {
                            backoff.reset();
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::DatabaseThrottled => {}
                    Err(error) => return Err(error),
                }
                if !left.is_empty() && !backoff.again().await? {
                    unread.extend(left.drain(..).map(|at| (at, table.unread())));
                }
            }
        }
        let mut uses = vec![0_usize; found.len()];
        let places: Vec<usize> =
            keys.iter().map(|key| position.get(&key.row).copied().unwrap_or_default()).collect();
        for at in &places {
            uses.get_mut(*at).into_iter().for_each(|uses| *uses += 1);
        }
        let mut items = Vec::new();
        let mut results = Vec::new();
        for (key, at) in keys.iter().zip(places) {
            // a copy only of what is asked for again
            let item = match (found.get_mut(at), uses.get_mut(at)) {
                (Some(item), Some(1)) => item.take(),
                (Some(item), Some(uses)) => {
                    *uses = uses.saturating_sub(1);
                    item.clone()
                }
                _ => None,
            };
            let item = item.filter(|item| table.is_of_entity(item));
            results.push(match (unread.get(&at), item) {
                (Some(error), _) => Err(Error::clone(error).row(&key.row)),
                (None, Some(item)) => {
                    items.push(item);
                    Ok(true)
                }
                (None, None) => Ok(false),
            });
        }
        let mut opened = table.open_items(items, &fields).await?.into_iter();
        let results = results.into_iter().map(|result| match result {
            Ok(true) => opened.next().unwrap_or_else(|| Err(table.unread())).map(Some),
            Ok(false) => Ok(None),
            Err(error) => Err(error),
        });
        Ok(results.collect())
    }
}

impl<'a, M: DynamoModel + DeserializeOwned + Send + 'a> IntoFuture for GetMany<'a, M> {
    type Output = Result<Vec<Option<M>>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.each().await?.into_iter().collect() })
    }
}

impl<M: DynamoModel> DynamoTable<M> {
    /// The items of these keys, and the keys that were left.
    async fn ask_for(&self, keys: Vec<Item>, is_consistent: bool) -> Result<(Vec<Item>, Vec<Item>)> {
        let name = self.name()?;
        let request =
            KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(is_consistent).build();
        let request = request.map_err(|_| Error::new(ErrorKind::Configuration))?;
        let sent = self.client.batch_get_item().request_items(name, request).send().await;
        let answer = sent.map_err(|error| from_sdk(error, M::MODEL, name))?;
        let items = answer.responses.unwrap_or_default().into_values().flatten().collect();
        let left = answer.unprocessed_keys.unwrap_or_default().into_values().flat_map(|left| left.keys);
        Ok((items, left.collect()))
    }

    fn unread(&self) -> Error {
        let name = self.name.as_deref().unwrap_or_default();
        Error::new(ErrorKind::DatabaseThrottled)
            .model(M::MODEL.name())
            .message(format!("the table `{name}` left keys again and again"))
            .help("ask for those that are left later; look at the table's capacity")
    }
}

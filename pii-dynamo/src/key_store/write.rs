//! Writes: transactions whose items all have a condition.
//!
//! A transaction of one item too, for its token: where an answer gets lost and the SDK sends the request
//! again, the service takes it for the same one. A conditional write alone would find its own work there
//! and say that somebody else has been faster.

use std::time::Duration;

use aws_sdk_dynamodb::{
    error::{BuildError, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, Put, TransactWriteItem, Update},
};
use pii_core::{__private::silently, Error, ErrorKind, KeyRecord, Result};

use super::{
    DynamoKeyStore,
    error::{self, Refusal},
    item::{self, Item, RECORD, Stored},
    place::{PARTITION, Place},
};

/// How often a write is tried that meets another one on the same items.
const ATTEMPTS: u32 = 8;
/// The longest pause before the second attempt; it doubles with each one.
const PAUSE: Duration = Duration::from_millis(25);
const MAX_PAUSE: Duration = Duration::from_secs(1);

impl DynamoKeyStore {
    /// Keeps the record as the winner of its slot and epoch, unless its key or the election is there.
    pub(super) async fn keep_elected(&self, record: &KeyRecord) -> Result<bool> {
        let items = vec![self.put(item::record(record)?)?, self.put(item::election(record))?];
        self.write(items, "dynamodb:PutItem").await
    }

    /// Keeps the record, unless its key is there.
    pub(super) async fn keep(&self, record: &KeyRecord) -> Result<bool> {
        self.write(vec![self.put(item::record(record)?)?], "dynamodb:PutItem").await
    }

    /// Makes a record that is there the winner of its slot and epoch, unless there is one.
    pub(super) async fn crown(&self, record: &KeyRecord) -> Result<bool> {
        self.write(vec![self.put(item::election(record))?], "dynamodb:PutItem").await
    }

    /// Puts `new` in the place of what was read, if it is still there.
    pub(super) async fn exchange(&self, current: Stored, new: &KeyRecord) -> Result<bool> {
        let update = Update::builder()
            .table_name(&self.table)
            .set_key(Some(Place::of_record(new.key_id).into_key()))
            .update_expression("SET #record = :new")
            .condition_expression("#record = :current")
            .expression_attribute_names("#record", RECORD)
            .expression_attribute_values(":new", AttributeValue::S(item::text_of(new)?))
            .expression_attribute_values(":current", AttributeValue::S(current.text))
            .build()
            .map_err(incomplete)?;
        self.write(vec![TransactWriteItem::builder().update(update).build()], "dynamodb:UpdateItem").await
    }

    /// An item that is written unless there is one in its place.
    fn put(&self, item: Item) -> Result<TransactWriteItem> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#partition)")
            .expression_attribute_names("#partition", PARTITION)
            .build()
            .map_err(incomplete)?;
        Ok(TransactWriteItem::builder().put(put).build())
    }

    /// All of the items or none; says whether their conditions held.
    async fn write(&self, items: Vec<TransactWriteItem>, action: &'static str) -> Result<bool> {
        let token = token()?;
        let mut attempt = 0;
        loop {
            let Err(error) = self.send(items.clone(), &token).await else { return Ok(true) };
            attempt += 1;
            match error::refusal(&error) {
                Refusal::Condition => return Ok(false),
                Refusal::Busy if attempt < ATTEMPTS => {
                    self.pause(pause_before(attempt)?).await;
                }
                _ => return Err(self.not_written(action, &error)),
            }
        }
    }

    async fn send(
        &self,
        items: Vec<TransactWriteItem>,
        token: &str,
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let request =
            self.client.transact_write_items().client_request_token(token).set_transact_items(Some(items));
        silently(request.send()).await.map(drop)
    }
}

/// By it the service knows a request that it gets again.
fn token() -> Result<String> {
    Ok(format!("{:032x}", u128::from_ne_bytes(random()?)))
}

/// Somewhere between nothing and the longest pause, so that those who met don't meet again.
fn pause_before(attempt: u32) -> Result<Duration> {
    let longest = PAUSE.saturating_mul(1 << attempt.min(16)).min(MAX_PAUSE);
    Ok(longest.mul_f64(f64::from(u16::from_ne_bytes(random()?)) / f64::from(u16::MAX)))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::new(ErrorKind::KeyUnavailable)
            .message("the operating system gives no random numbers")
            .source(error)
    })?;
    Ok(bytes)
}

pub(super) fn incomplete(error: BuildError) -> Error {
    Error::new(ErrorKind::Configuration)
        .message("the AWS SDK does not accept a request of the key store")
        .help("report this with the versions of `pii` and `aws-sdk-dynamodb`")
        .source(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        for attempt in 0..100 {
            let longest = if attempt < 6 { PAUSE * (1 << attempt) } else { MAX_PAUSE };
            assert!(pause_before(attempt).unwrap() <= longest);
        }
    }

    #[test]
    fn tokens_have_a_length_that_dynamodb_takes() {
        let (one, other) = (token().unwrap(), token().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 32);
    }
}

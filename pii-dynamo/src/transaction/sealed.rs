//! A transaction that is ready to be sent.

use std::{collections::BTreeSet, fmt};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::TransactWriteItemsError,
    types::{CancellationReason, TransactWriteItem},
};
use pii_core::{Error, ErrorKind, Result};

use super::{
    MAX_BYTES,
    action::{AnyTable, Verb},
    code, not_built,
};
use crate::{
    error::{from_code, of_request},
    key::Key,
    size,
    table::{Wants, Write},
};

/// A transaction whose values are sealed; made by [`DynamoTransaction::seal`](super::DynamoTransaction::seal).
///
/// It has a token by which DynamoDB knows it again for ten minutes: sent several times, it happens once.
pub struct SealedTransaction<'a> {
    client: Client,
    token: String,
    parts: Vec<TransactWriteItem>,
    /// what is needed to tell why a part failed, in the order of the parts
    about: Vec<About<'a>>,
}

struct About<'a> {
    table: &'a dyn AnyTable,
    key: Key,
    wants: Wants,
}

impl<'a> SealedTransaction<'a> {
    pub(super) fn of(
        client: Client,
        writes: impl Iterator<Item = ((Verb, &'a dyn AnyTable), Write)>,
    ) -> Result<Self> {
        let (mut parts, mut about) = (Vec::new(), Vec::new());
        let mut bytes = 0_usize;
        for ((verb, table), write) in writes {
            bytes = bytes.saturating_add(bytes_of(&write));
            let key = write.key.clone();
            let built = verb.part(table.name()?, write);
            let (part, wants) = built.map_err(|error| not_built(error).model(table.model().name()))?;
            parts.push(part);
            about.push(About { table, key, wants });
        }
        if bytes > MAX_BYTES {
            return Err(Error::new(ErrorKind::TooLarge)
                .message(format!(
                    "the items of a transaction have at most {MAX_BYTES} bytes together; these have {bytes}"
                ))
                .help("what need not happen together can go into several transactions, or into a batch"));
        }
        Ok(Self { client, token: token()?, parts, about })
    }

    /// Writes all items, or none. A transaction without actions is not sent.
    ///
    /// # Errors
    /// If a condition does not hold, what the action's own method on the table would give: of the first such
    /// item, where there are several. [`dynamo_error`](crate::dynamo_error) gives the SDK's error with the
    /// reasons of all. [`ErrorKind::Conflict`] too, if someone else is at work on an item.
    pub async fn send(&self) -> Result<()> {
        if self.parts.is_empty() {
            return Ok(());
        }
        let request = self.client.transact_write_items().client_request_token(&self.token);
        match request.set_transact_items(Some(self.parts.clone())).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.failed(error).await),
        }
    }

    async fn failed(&self, error: SdkError<TransactWriteItemsError>) -> Error {
        let reasons = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons()
            }
            _ => &[],
        };
        let Some((about, reason, code)) = self.cause(reasons) else {
            return of_request(error, &self.names());
        };
        let name = about.table.name().unwrap_or_default();
        let failed = match code {
            CONDITION => {
                let why = about.table.why_not(&about.wants, &about.key, reason.item.clone()).await;
                why.within(&format!("the transaction was cancelled because of an item of the table `{name}`"))
            }
            code => from_code(code, name).model(about.table.model().name()).row(&about.key.row),
        };
        failed.source(error)
    }

    /// The part whose fault it is: one whose condition does not hold, before those that may succeed later.
    fn cause<'r>(
        &self,
        reasons: &'r [CancellationReason],
    ) -> Option<(&About<'a>, &'r CancellationReason, &'r str)> {
        let failed = || {
            let parts = self.about.iter().zip(reasons);
            parts.filter_map(|(about, reason)| Some((about, reason, code(reason)?)))
        };
        failed().find(|(_, _, code)| *code == CONDITION).or_else(|| failed().next())
    }

    fn names(&self) -> String {
        let names: BTreeSet<_> = self.about.iter().filter_map(|about| about.table.name().ok()).collect();
        names.into_iter().collect::<Vec<_>>().join("`, `")
    }
}

const CONDITION: &str = "ConditionalCheckFailed";

/// What is known of the size of the item that a part is about.
fn bytes_of(write: &Write) -> usize {
    let key = write.key.attributes.iter().map(|(name, value)| name.len() + size::of_value(value)).sum();
    match (&write.item, &write.update) {
        (Some(item), _) => size::of_item(item),
        (None, Some(_)) => write.placeholders.bytes().saturating_add(key),
        (None, None) => key,
    }
}

/// One of 2^128.
fn token() -> Result<String> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random).map_err(|_| {
        Error::new(ErrorKind::DatabaseUnavailable)
            .message("the operating system's random generator gave no bytes for the transaction's token")
    })?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

impl fmt::Debug for SealedTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedTransaction").field("actions", &self.parts.len()).finish_non_exhaustive()
    }
}

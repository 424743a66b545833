//! What DynamoDB leaves in a batch, by a client whose answers are made up: the local server leaves nothing.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeSerializationInterceptorContextMut, FinalizerInterceptorContextMut},
        retry::RetryConfig,
    },
    error::{BoxError, ErrorMetadata},
    operation::{
        batch_get_item::{BatchGetItemError, BatchGetItemInput, BatchGetItemOutput},
        batch_write_item::{BatchWriteItemError, BatchWriteItemInput, BatchWriteItemOutput},
    },
    types::{KeysAndAttributes, WriteRequest, error::ProvisionedThroughputExceededException},
};
use aws_smithy_runtime_api::client::{interceptors::context::Error, orchestrator::OrchestratorError};
use pii::{DynamoTable, EncryptedStr, ErrorKind, Item, PiiModel};
use serde::{Deserialize, Serialize};

use crate::support::{client, cryptor, stored, table};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "note")]
struct Note {
    #[pii(partition_key)]
    id: String,
    text: EncryptedStr,
}

fn notes(count: usize) -> Vec<Note> {
    let note = |number| Note { id: format!("n-{number}"), text: EncryptedStr::new(format!("note {number}")) };
    (0..count).map(note).collect()
}

/// Lets at most so many items of each request through to the server; the rest comes back unprocessed. Of the
/// requests with the numbers in `throttled`, nothing gets through.
#[derive(Debug, Clone)]
struct Leaving {
    at_most: usize,
    throttled: Range<usize>,
    requests: Arc<AtomicUsize>,
    taken: Arc<Mutex<Taken>>,
}

/// What was taken away from a request.
#[derive(Debug, Clone, Default)]
struct Taken {
    table: String,
    writes: Vec<WriteRequest>,
    keys: Vec<Item>,
    reads: bool,
}

fn leaving(at_most: usize, throttled: Range<usize>) -> (Client, Arc<AtomicUsize>) {
    let leaving = Leaving { at_most, throttled, requests: Arc::default(), taken: Arc::default() };
    let requests = Arc::clone(&leaving.requests);
    let config = client().config().to_builder().retry_config(RetryConfig::disabled()).interceptor(leaving);
    (Client::from_conf(config.build()), requests)
}

impl Intercept for Leaving {
    fn name(&self) -> &'static str {
        "Leaving"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let mut taken = self.taken.lock().unwrap();
        if let Some(input) = context.input_mut().downcast_mut::<BatchWriteItemInput>() {
            for (table, writes) in input.request_items.iter_mut().flatten() {
                assert!(writes.len() <= 25);
                let kept = self.at_most.min(writes.len());
                *taken = Taken { table: table.clone(), writes: writes.split_off(kept), ..Taken::default() };
            }
        }
        if let Some(input) = context.input_mut().downcast_mut::<BatchGetItemInput>() {
            for (table, wanted) in input.request_items.iter_mut().flatten() {
                assert!(wanted.keys.len() <= 100);
                let kept = self.at_most.min(wanted.keys.len());
                let keys = wanted.keys.split_off(kept);
                *taken = Taken { table: table.clone(), keys, reads: true, ..Taken::default() };
            }
        }
        Ok(())
    }

    fn modify_before_attempt_completion(
        &self,
        context: &mut FinalizerInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let Taken { table, writes, keys, reads } = self.taken.lock().unwrap().clone();
        let Some(result) = context.output_or_error_mut() else { return Ok(()) };
        if self.throttled.contains(&number) {
            let throttled = ProvisionedThroughputExceededException::builder()
                .meta(ErrorMetadata::builder().code("ProvisionedThroughputExceededException").build())
                .build();
            let error = if reads {
                Error::erase(BatchGetItemError::ProvisionedThroughputExceededException(throttled))
            } else {
                Error::erase(BatchWriteItemError::ProvisionedThroughputExceededException(throttled))
            };
            *result = Err(OrchestratorError::operation(error));
            return Ok(());
        }
        let Ok(output) = result else { return Ok(()) };
        if let Some(output) = output.downcast_mut::<BatchWriteItemOutput>()
            && !writes.is_empty()
        {
            output.unprocessed_items = Some(HashMap::from([(table, writes)]));
        } else if let Some(output) = output.downcast_mut::<BatchGetItemOutput>()
            && !keys.is_empty()
        {
            let keys = KeysAndAttributes::builder().set_keys(Some(keys)).build().unwrap();
            output.unprocessed_keys = Some(HashMap::from([(table, keys)]));
        }
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_sent_again_until_nothing_is() {
    let name = table(&client(), "id", None).await;
    let (client, requests) = leaving(9, 2..4);
    let notes = notes(130);
    let table = DynamoTable::<Note>::named(&client, &cryptor(), &name);
    let written = table.put_many(&notes).await.unwrap();
    assert_eq!((written.done, written.left.len()), (130, 0));
    assert!(requests.load(Ordering::Relaxed) >= 15);
    assert_eq!(stored(&client, &name).await.len(), 130);
    let ids: Vec<String> = notes.iter().map(|note| note.id.clone()).collect();
    let read = table.get_many(ids.clone()).decrypt_pii().await.unwrap();
    for (read, note) in read.iter().zip(&notes) {
        assert_eq!(read.as_ref().unwrap().text.expose().unwrap(), note.text.expose().unwrap());
    }
    assert_eq!(table.delete_many(ids).await.unwrap().all().unwrap(), 130);
    assert!(stored(&client, &name).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_left_in_the_end_is_told() {
    let name = table(&client(), "id", None).await;
    let (client, requests) = leaving(usize::MAX, 2..1000);
    let notes = notes(60);
    let table = DynamoTable::<Note>::named(&client, &cryptor(), &name);
    let written = table.put_many(&notes).attempts(3).await.unwrap();
    // the server took them, which the answer did not say: `left` errs on the safe side
    assert_eq!((written.done, written.left.clone()), (50, (50..60).collect()));
    assert_eq!(written.reason.as_ref().unwrap().kind(), ErrorKind::DatabaseThrottled);
    assert!(written.reason.as_ref().unwrap().is_retryable());
    assert_eq!(written.all().unwrap_err().kind(), ErrorKind::DatabaseThrottled);
    assert_eq!(requests.load(Ordering::Relaxed), 5);

    let (client, _) = leaving(usize::MAX, 0..1000);
    let table = DynamoTable::<Note>::named(&client, &cryptor(), &name);
    let ids = vec!["n-1".to_owned(), "n-2".to_owned()];
    let each = table.get_many(ids.clone()).attempts(3).each().await.unwrap();
    let errors: Vec<_> = each.iter().map(|result| result.as_ref().err().unwrap()).collect();
    assert_eq!((errors.len(), errors[1].kind()), (2, ErrorKind::DatabaseThrottled));
    assert_eq!(errors[1].row_id(), Some("n-2"));
    assert_eq!(table.get_many(ids).attempts(3).await.unwrap_err().kind(), ErrorKind::DatabaseThrottled);
}

//! Answers to transactions that DynamoDB Local does not give, and the requests themselves.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::{
    Client,
    config::retry::RetryConfig,
    operation::{
        get_item::GetItemOutput,
        transact_get_items::{TransactGetItemsError, TransactGetItemsOutput},
        transact_write_items::{TransactWriteItemsError, TransactWriteItemsInput, TransactWriteItemsOutput},
    },
    types::{
        AttributeValue, CancellationReason,
        ReturnValuesOnConditionCheckFailure::AllOld,
        error::{InternalServerError, ThrottlingException, TransactionCanceledException},
    },
};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use pii::{
    Cryptor, DynamoTable, DynamoTransaction, EncryptedStr, Error, ErrorKind, Item, PiiModel, TestKeyring,
    ctx, dynamo_error,
};
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "account", table = "accounts", context(tenant = self.tenant))]
struct Account {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    holder: EncryptedStr,
    #[pii(version)]
    version: u32,
}

fn account(id: &str) -> Account {
    Account { id: id.into(), tenant: "acme".into(), holder: EncryptedStr::new("holder-canary"), version: 3 }
}

fn cryptor() -> Cryptor {
    Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap()
}

fn client(rules: &[&Rule]) -> Client {
    mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, rules, |config| {
        config.retry_config(RetryConfig::disabled())
    })
}

type Reason = (&'static str, Option<Item>);

fn cancelled(reasons: &[Reason]) -> TransactionCanceledException {
    let reasons = reasons.iter().map(|(code, item)| {
        CancellationReason::builder()
            .code(*code)
            .message("canary: what AWS says of a value")
            .set_item(item.clone())
            .build()
    });
    let reasons = reasons.collect::<Vec<_>>();
    TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build()
}

fn write_cancelled(reasons: Vec<Reason>) -> Rule {
    mock!(Client::transact_write_items)
        .then_error(move || TransactWriteItemsError::TransactionCanceledException(cancelled(&reasons)))
}

/// What two updates give, if the server has these reasons against them and this item to show.
async fn refused(reasons: Vec<Reason>, shown: Option<Item>) -> (Error, usize) {
    let write = write_cancelled(reasons);
    let read =
        mock!(Client::get_item).then_output(move || GetItemOutput::builder().set_item(shown.clone()).build());
    let client = client(&[&write, &read]);
    let cryptor = cryptor().scoped(ctx!(tenant = "acme"));
    let accounts = DynamoTable::<Account>::new(&client, &cryptor);
    let (first, second) = (account("a-1"), account("a-2"));
    let both = DynamoTransaction::new(&client).update(&accounts, &first).update(&accounts, &second);
    (both.await.unwrap_err(), read.num_calls())
}

fn stored(tenant: &str, version: &str) -> Item {
    [("tenant", AttributeValue::S(tenant.into())), ("version", AttributeValue::N(version.into()))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

const CONDITION: &str = "ConditionalCheckFailed";

#[tokio::test]
async fn each_reason_has_its_kind_and_names_its_item() {
    for (code, kind, is_retryable) in [
        ("TransactionConflict", ErrorKind::Conflict, false),
        ("ThrottlingError", ErrorKind::DatabaseThrottled, true),
        ("ProvisionedThroughputExceeded", ErrorKind::DatabaseThrottled, true),
        ("ItemCollectionSizeLimitExceeded", ErrorKind::TooLarge, false),
        ("ValidationError", ErrorKind::Database, false),
    ] {
        let (error, _) = refused(vec![("None", None), (code, None)], None).await;
        assert_eq!((error.kind(), error.row_id()), (kind, Some("a-2")), "{error}");
        assert_eq!((error.model_name(), error.is_retryable()), (Some("account"), is_retryable));
        assert!(error.to_string().contains("`accounts`"), "{error}");
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
        assert!(dynamo_error::<TransactWriteItemsError>(&error).is_some());
    }
}

#[tokio::test]
async fn why_a_condition_does_not_hold_is_told_from_the_item_in_the_answer() {
    for (item, kind, reason) in [
        (stored("acme", "4"), ErrorKind::Conflict, "another version than the model"),
        (stored("initech", "3"), ErrorKind::RowNotFound, "no item with this key in the scope"),
        (stored("acme", "3"), ErrorKind::Conflict, "changed while it was written"),
    ] {
        // from the answer, or by a look at the table where an old server does not give it
        for (given, shown, looks) in [(Some(item.clone()), None, 0), (None, Some(item.clone()), 1)] {
            let (error, looked) = refused(vec![("None", None), (CONDITION, given)], shown).await;
            assert_eq!((error.kind(), error.row_id()), (kind, Some("a-2")), "{error}");
            assert!(error.to_string().contains(reason), "{error}");
            assert!(error.to_string().contains("item of the table `accounts`"), "{error}");
            assert_eq!(looked, looks);
        }
    }
    let (error, _) = refused(vec![(CONDITION, None), (CONDITION, None)], None).await;
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::RowNotFound, Some("a-1")));
}

#[tokio::test]
async fn a_condition_comes_before_what_may_pass() {
    let reasons = vec![("TransactionConflict", None), (CONDITION, Some(stored("acme", "9")))];
    let (error, _) = refused(reasons, None).await;
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Conflict, Some("a-2")));
    assert!(error.to_string().contains("another version"), "{error}");
}

#[tokio::test]
async fn what_concerns_the_whole_request_names_its_tables() {
    let rule = mock!(Client::transact_write_items).then_error(|| {
        TransactWriteItemsError::ThrottlingException(
            ThrottlingException::builder()
                .meta(aws_sdk_dynamodb::error::ErrorMetadata::builder().code("ThrottlingException").build())
                .build(),
        )
    });
    let (client, cryptor) = (client(&[&rule]), cryptor());
    let accounts = DynamoTable::<Account>::new(&client, &cryptor);
    let closed = DynamoTable::<Account>::named(&client, &cryptor, "closed");
    let (first, second) = (account("a-1"), account("a-1"));
    let error =
        DynamoTransaction::new(&client).put(&accounts, &first).put(&closed, &second).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::DatabaseThrottled, None));
    assert!(error.to_string().contains("`accounts`, `closed`"), "{error}");
}

#[tokio::test]
async fn what_is_sent_again_is_the_same_request() {
    let requests: Arc<Mutex<Vec<TransactWriteItemsInput>>> = Arc::default();
    let seen = Arc::clone(&requests);
    let rule = mock!(Client::transact_write_items)
        .match_requests(move |request| {
            seen.lock().unwrap().push(request.clone());
            true
        })
        .sequence()
        .error(|| {
            TransactWriteItemsError::InternalServerError(
                InternalServerError::builder()
                    .meta(
                        aws_sdk_dynamodb::error::ErrorMetadata::builder().code("InternalServerError").build(),
                    )
                    .build(),
            )
        })
        .output(|| TransactWriteItemsOutput::builder().build())
        .output(|| TransactWriteItemsOutput::builder().build())
        .build();
    let (client, cryptor) = (client(&[&rule]), cryptor());
    let accounts = DynamoTable::<Account>::new(&client, &cryptor);
    // as many as there may be
    let many: Vec<Account> = (0..99).map(|number| account(&format!("a-{number}"))).collect();
    let begun = many.iter().fold(DynamoTransaction::new(&client), |all, one| all.put(&accounts, one));
    let sealed = begun.check(&accounts, "a-99".to_owned()).seal().await.unwrap();
    let error = sealed.send().await.unwrap_err();
    assert!(error.kind() == ErrorKind::DatabaseUnavailable && error.is_retryable(), "{error}");
    sealed.send().await.unwrap();
    let one = account("a-1");
    DynamoTransaction::new(&client).put(&accounts, &one).await.unwrap();

    let requests = requests.lock().unwrap();
    let [first, again, other] = requests.as_slice() else { panic!("{} requests", requests.len()) };
    assert_eq!(first, again);
    assert_eq!(first.transact_items().len(), 100);
    let token = |request: &TransactWriteItemsInput| request.client_request_token().unwrap().to_owned();
    assert!(token(first) != token(other) && token(first).len() <= 36);
    let put = first.transact_items()[0].put().unwrap();
    assert!(put.item()["holder"].as_s().unwrap().starts_with("ENC:"));
    assert_eq!(put.item()["version"].as_n().unwrap(), "4");
    assert_eq!(put.return_values_on_condition_check_failure(), Some(&AllOld));
    assert!(first.transact_items()[99].condition_check().is_some());
    assert!(!format!("{sealed:?} {first:?}").contains("canary"));
}

#[tokio::test]
async fn a_read_that_is_in_the_way_of_another_names_its_item() {
    let rule = mock!(Client::transact_get_items).then_error(|| {
        let reasons = [("None", None), ("TransactionConflict", None)];
        TransactGetItemsError::TransactionCanceledException(cancelled(&reasons))
    });
    let (client, cryptor) = (client(&[&rule]), cryptor());
    let accounts = DynamoTable::<Account>::new(&client, &cryptor);
    let error = accounts.get_together(["a-1".to_owned(), "a-2".to_owned()]).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Conflict, Some("a-2")), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn an_answer_about_other_items_is_refused() {
    let rule = mock!(Client::transact_get_items).then_output(|| {
        let item = [("id".to_owned(), AttributeValue::S("a-7".into()))].into();
        let response = aws_sdk_dynamodb::types::ItemResponse::builder().set_item(Some(item)).build();
        TransactGetItemsOutput::builder().responses(response).build()
    });
    let (client, cryptor) = (client(&[&rule]), cryptor());
    let accounts = DynamoTable::<Account>::new(&client, &cryptor);
    let error = accounts.get_together(["a-1".to_owned()]).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("a-1")));
    let error = accounts.get_together(["a-1".to_owned(), "a-2".to_owned()]).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database, "{error}");
}

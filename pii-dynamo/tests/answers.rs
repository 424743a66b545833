//! Answers that DynamoDB Local does not give.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failing unwrap is a failing test"
)]

use aws_sdk_dynamodb::{Client, config::retry::RetryConfig};
use aws_smithy_mocks::{RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use pii::{Cryptor, DynamoTable, EncryptedStr, Error, ErrorKind, PiiModel, TestKeyring};
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "account", table = "accounts")]
#[serde(deny_unknown_fields)]
struct Account {
    #[pii(partition_key)]
    id: String,
    city: Option<String>,
    labels: Option<Vec<String>>,
    holder: Option<EncryptedStr>,
}

/// What a scan gives of these items, as the service sends them.
async fn scanned(items: &'static str) -> Vec<Result<Account, Error>> {
    let answer = move || {
        let body = format!(r#"{{"Count":1,"ScannedCount":1,"Items":[{items}]}}"#);
        HttpResponse::new(200.try_into().unwrap(), SdkBody::from(body))
    };
    let rule = mock!(Client::scan).then_http_response(answer);
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, [&rule], |config| {
        config.retry_config(RetryConfig::disabled())
    });
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    DynamoTable::<Account>::new(&client, &cryptor).scan().each().await.unwrap()
}

/// The one error of an item, which shows nothing of it but its key.
async fn refused(item: &'static str) -> Error {
    let mut found = scanned(item).await;
    assert_eq!(found.len(), 1);
    let error = found.remove(0).unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Database, Some("a-1")), "{error}");
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    error
}

#[tokio::test]
async fn types_that_this_release_does_not_know_are_errors_of_their_items() {
    let error = refused(r#"{"id":{"S":"a-1"},"holder":{"NEW":"canary"}}"#).await;
    assert_eq!(error.field_name(), Some("holder"));
    let error = refused(r#"{"id":{"S":"a-1"},"labels":{"L":[{"S":"canary"},{"NEW":"canary"}]}}"#).await;
    assert_eq!(error.field_name(), Some("labels"));
    assert!(error.to_string().contains("of the type L"), "{error}");
}

#[tokio::test]
async fn items_that_do_not_fit_keep_their_places_among_the_others() {
    let found = scanned(
        r#"{"id":{"S":"a-1"},"city":{"N":"7"}},{"id":{"S":"a-2"}},{"city":{"S":"London"}},
           {"id":{"S":"a-4"},"city":{"NULL":true}},{"id":{"S":"a-5"},"other":{"S":"x"}}"#,
    )
    .await;
    let ids: Vec<_> = found.iter().map(|item| item.as_ref().map(|item| item.id.as_str()).ok()).collect();
    assert_eq!(ids, [None, Some("a-2"), None, Some("a-4"), None]);
    let errors: Vec<_> = found.iter().filter_map(|item| item.as_ref().err()).collect();
    assert_eq!((errors[0].field_name(), errors[0].row_id()), (Some("city"), Some("a-1")));
    assert!(errors[1].to_string().contains("it has no `id`"), "{}", errors[1]);
    assert_eq!(errors[1].row_id(), Some("?"));
    assert_eq!((errors[2].kind(), errors[2].row_id()), (ErrorKind::Database, Some("a-5")));
}

#[tokio::test]
async fn what_is_stored_as_plaintext_is_refused_by_its_policy() {
    let found = scanned(r#"{"id":{"S":"a-1"},"holder":{"S":"canary"}},{"id":{"S":"a-2"}}"#).await;
    assert!(found[1].is_ok());
    assert_eq!(found[0].as_ref().err().map(Error::kind), Some(ErrorKind::NotEncrypted));
}

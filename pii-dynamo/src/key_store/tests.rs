//! Answers that DynamoDB Local never gives: throttling, conflicts, outages, refusals, backups.

use std::sync::Arc;

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
    error::ErrorMetadata,
    operation::{
        create_table::CreateTableOutput,
        describe_table::{DescribeTableError, DescribeTableOutput},
        get_item::GetItemOutput,
        query::QueryOutput,
        transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput},
        update_continuous_backups::{UpdateContinuousBackupsError, UpdateContinuousBackupsOutput},
    },
    types::{
        AttributeDefinition, CancellationReason, KeySchemaElement, KeyType, ScalarAttributeType,
        TableDescription, TableStatus,
        error::{ResourceNotFoundException, TransactionCanceledException},
    },
};
use aws_smithy_mocks::{Rule, RuleMode, mock, mock_client};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use pii_core::{
    EncryptionContext, ErrorKind, KeyId, KeyRecord, KeySlot, KeyState, KeyStore as _, Provider, Purpose,
    WrappedKey,
};

use super::{DynamoKeyStore, item};

fn sample() -> KeyRecord {
    KeyRecord {
        key_id: KeyId::from_bytes([7; 16]),
        slot: KeySlot {
            keyring: "default".into(),
            context: Arc::new(EncryptionContext::new([("tenant", "canary")]).unwrap()),
            purpose: Purpose::Seal,
        },
        epoch: 0,
        state: KeyState::Active,
        created: "2026-01-01T00:00:00Z".to_owned(),
        copies: vec![WrappedKey {
            provider: Provider::LOCAL,
            key_name: "k".to_owned(),
            blob: b"first".to_vec(),
        }],
    }
}

fn other() -> KeyRecord {
    let mut record = sample();
    record.copies[0].blob = b"second".to_vec();
    record
}

fn store(rules: &[&Rule]) -> DynamoKeyStore {
    let rules: Vec<Rule> = rules.iter().map(|rule| (*rule).clone()).collect();
    let rules: Vec<&Rule> = rules.iter().collect();
    // the attempts that are counted are those of the key store
    let client = mock_client!(aws_sdk_dynamodb, RuleMode::MatchAny, &rules, |config| {
        config.retry_config(RetryConfig::disabled())
    });
    DynamoKeyStore::new(&client)
}

/// The sample is what is stored.
fn stored() -> Rule {
    mock!(Client::get_item)
        .then_output(|| GetItemOutput::builder().set_item(Some(item::record(&sample()).unwrap())).build())
}

fn answer(status: u16, code: &str) -> HttpResponse {
    let body = format!(
        r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{code}","message":"canary: what AWS says of a request"}}"#
    );
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    response.headers_mut().insert("x-amzn-requestid", "REQUEST-1");
    response
}

fn canceled(code: &str) -> TransactWriteItemsError {
    let reasons =
        ["None", code].map(|code| CancellationReason::builder().code(code).message("canary").build());
    TransactWriteItemsError::TransactionCanceledException(
        TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons.to_vec())).build(),
    )
}

fn whole_text(error: &pii_core::Error) -> String {
    let source = std::error::Error::source(error).map(|source| format!("{source} {source:?}"));
    format!("{error} {error:?} {}", source.unwrap_or_default())
}

#[tokio::test]
async fn answers_become_kinds_and_tell_nothing() {
    for (status, code, kind) in [
        (400, "ProvisionedThroughputExceededException", ErrorKind::KeyThrottled),
        (400, "ThrottlingException", ErrorKind::KeyThrottled),
        (400, "RequestLimitExceeded", ErrorKind::KeyThrottled),
        (429, "SomethingNew", ErrorKind::KeyThrottled),
        (500, "InternalServerError", ErrorKind::KeyUnavailable),
        (503, "ServiceUnavailable", ErrorKind::KeyUnavailable),
        (400, "AccessDeniedException", ErrorKind::KeyDenied),
        (400, "ExpiredTokenException", ErrorKind::KeyDenied),
        (400, "UnrecognizedClientException", ErrorKind::KeyDenied),
        (400, "ResourceNotFoundException", ErrorKind::Configuration),
        (400, "ValidationException", ErrorKind::Configuration),
        (400, "SomethingNew", ErrorKind::Configuration),
    ] {
        let code = code.to_owned();
        let said = code.clone();
        let rule = mock!(Client::get_item).then_http_response(move || answer(status, &said));
        let error = store(&[&rule]).load(sample().key_id).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{code}: {error}");
        let is_passing = [ErrorKind::KeyThrottled, ErrorKind::KeyUnavailable].contains(&kind);
        assert_eq!(error.is_retryable(), is_passing, "{code}");
        let text = whole_text(&error);
        assert!(
            text.contains(&code) && text.contains("dynamodb:GetItem") && text.contains("REQUEST-1"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_is_an_outage() {
    let rule = mock!(Client::get_item)
        .then_http_response(|| HttpResponse::new(200.try_into().unwrap(), SdkBody::from("<html>canary")));
    let error = store(&[&rule]).load(sample().key_id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert!(!whole_text(&error).contains("canary"));
}

#[tokio::test]
async fn who_meets_another_writer_tries_again() {
    let busy = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"];
    for code in busy {
        let write = mock!(Client::transact_write_items)
            .sequence()
            .error(move || canceled(code))
            .times(2)
            .output(|| TransactWriteItemsOutput::builder().build())
            .build();
        assert!(store(&[&stored(), &write]).replace(&sample(), &other()).await.unwrap(), "{code}");
        assert_eq!(write.num_calls(), 3);
    }
    // for a while
    for (code, kind) in [(busy[0], ErrorKind::KeyUnavailable), (busy[1], ErrorKind::KeyThrottled)] {
        let write = mock!(Client::transact_write_items).then_error(move || canceled(code));
        let error = store(&[&stored(), &write]).replace(&sample(), &other()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert_eq!(write.num_calls(), 8);
        assert!(!whole_text(&error).contains("canary"), "{error:?}");
    }
}

#[tokio::test]
async fn all_attempts_of_a_write_have_one_token() {
    let tokens = Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = Arc::clone(&tokens);
    let write = mock!(Client::transact_write_items)
        .match_requests(move |request| {
            heard.lock().unwrap().push(request.client_request_token().unwrap().to_owned());
            true
        })
        .sequence()
        .error(|| canceled("TransactionConflict"))
        .output(|| TransactWriteItemsOutput::builder().build())
        .repeatedly()
        .build();
    let store = store(&[&stored(), &write]);
    assert!(store.replace(&sample(), &other()).await.unwrap());
    assert!(store.replace(&sample(), &other()).await.unwrap());
    let mut tokens = tokens.lock().unwrap().clone();
    tokens.dedup();
    assert_eq!(tokens.len(), 2);
}

/// DynamoDB Local reads consistently whatever it is asked for.
#[tokio::test]
async fn every_read_is_consistent() {
    let get = mock!(Client::get_item)
        .match_requests(|request| request.consistent_read() == Some(true))
        .then_output(|| {
            let item = item::record(&sample()).unwrap();
            GetItemOutput::builder().set_item(Some(item)).build()
        });
    let query = mock!(Client::query)
        .match_requests(|request| request.consistent_read() == Some(true) && request.index_name().is_none())
        .then_output(|| QueryOutput::builder().items(item::election(&sample())).build());
    let store = store(&[&get, &query]);
    assert_eq!(store.load(sample().key_id).await.unwrap(), Some(sample()));
    assert_eq!(store.active(&sample().slot).await.unwrap(), Some(sample()));
    assert!(store.list(None, 10).await.unwrap().is_empty(), "elections are no records");
    assert_eq!((get.num_calls(), query.num_calls()), (2, 17));
}

#[tokio::test]
async fn who_comes_too_late_does_not_try_again() {
    let write = mock!(Client::transact_write_items).then_error(|| canceled("ConditionalCheckFailed"));
    assert!(!store(&[&stored(), &write]).replace(&sample(), &other()).await.unwrap());
    assert_eq!(write.num_calls(), 1);
}

/// A store that says it has kept a record, and does not give it back.
#[tokio::test]
async fn a_record_that_is_not_read_back_is_not_used() {
    let nothing = mock!(Client::get_item).then_output(|| GetItemOutput::builder().build());
    let write =
        mock!(Client::transact_write_items).then_output(|| TransactWriteItemsOutput::builder().build());
    let store = store(&[&nothing, &write]);
    for error in [store.elect(&sample()).await.unwrap_err(), store.insert(&sample()).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
        assert!(error.to_string().contains("did not keep"), "{error}");
    }
}

#[tokio::test]
async fn a_client_that_can_send_nothing_is_set_up_wrongly() {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .build();
    let store = DynamoKeyStore::new(&Client::from_conf(config));
    let error = store.load(sample().key_id).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error:?}");
}

fn missing() -> DescribeTableError {
    let metadata = ErrorMetadata::builder().code("ResourceNotFoundException").build();
    DescribeTableError::ResourceNotFoundException(ResourceNotFoundException::builder().meta(metadata).build())
}

fn description(status: TableStatus) -> DescribeTableOutput {
    let attribute = |name: &str| {
        let attribute = AttributeDefinition::builder().attribute_name(name);
        attribute.attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let table = TableDescription::builder()
        .table_status(status)
        .attribute_definitions(attribute("sk"))
        .attribute_definitions(attribute("pk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range));
    DescribeTableOutput::builder().table(table.build()).build()
}

/// The table is made, which takes a while, and so does what its backups need.
fn creating() -> [Rule; 2] {
    let describe = mock!(Client::describe_table)
        .sequence()
        .error(missing)
        .times(2)
        .output(|| description(TableStatus::Creating))
        .times(2)
        .output(|| description(TableStatus::Active))
        .build();
    let create = mock!(Client::create_table)
        .match_requests(|request| {
            request.deletion_protection_enabled() == Some(true)
                && request.table_name() == Some("pii_data_keys")
        })
        .then_output(|| CreateTableOutput::builder().build());
    [describe, create]
}

fn backups_refusal(code: &'static str) -> UpdateContinuousBackupsError {
    UpdateContinuousBackupsError::generic(ErrorMetadata::builder().code(code).build())
}

#[tokio::test]
async fn a_new_table_is_waited_for_and_can_be_recovered() {
    let [describe, create] = creating();
    let backups = mock!(Client::update_continuous_backups)
        .match_requests(|request| {
            request
                .point_in_time_recovery_specification()
                .is_some_and(|specification| specification.point_in_time_recovery_enabled())
        })
        .sequence()
        .error(|| backups_refusal("ContinuousBackupsUnavailableException"))
        .times(2)
        .output(|| UpdateContinuousBackupsOutput::builder().build())
        .build();
    store(&[&describe, &create, &backups]).create_table().await.unwrap();
    assert_eq!((describe.num_calls(), create.num_calls(), backups.num_calls()), (5, 1, 3));
}

#[tokio::test]
async fn a_table_without_recovery_is_an_error_but_for_servers_that_have_none() {
    let [describe, create] = creating();
    let backups =
        mock!(Client::update_continuous_backups).then_http_response(|| answer(400, "AccessDeniedException"));
    let error = store(&[&describe, &create, &backups]).create_table().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyDenied, "{error}");
    let [describe, create] = creating();
    let backups =
        mock!(Client::update_continuous_backups).then_error(|| backups_refusal("UnknownOperationException"));
    store(&[&describe, &create, &backups]).create_table().await.unwrap();
    assert_eq!(backups.num_calls(), 1);
}

#[tokio::test]
async fn a_table_that_is_there_stays_as_it_is() {
    let describe = mock!(Client::describe_table).then_output(|| description(TableStatus::Active));
    store(&[&describe]).create_table().await.unwrap();
}

#[test]
fn names_are_checked() {
    let client = Client::from_conf(
        aws_sdk_dynamodb::Config::builder().behavior_version(BehaviorVersion::latest()).build(),
    );
    let long = "x".repeat(255);
    for name in ["pii_data_keys", "a.b-c_D9", &long, "arn:aws:dynamodb:eu-west-1:111122223333:table/keys"] {
        assert_eq!(DynamoKeyStore::new(&client).table(name).unwrap().table, name);
    }
    for name in ["", "ab", "a b c", "keys\n", "schl\u{fc}ssel", &format!("{long}x")] {
        let error = DynamoKeyStore::new(&client).table(name).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
    }
    let shown = format!("{:?}", DynamoKeyStore::new(&client));
    assert_eq!(shown, "DynamoKeyStore { table: \"pii_data_keys\", .. }");
}

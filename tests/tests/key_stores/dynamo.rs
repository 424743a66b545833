//! What only the store in DynamoDB has: its table, answers that get lost, logs of the SDK.

use std::{
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, StalledStreamProtectionConfig,
        interceptors::{BeforeDeserializationInterceptorContextMut, BeforeTransmitInterceptorContextRef},
        retry::RetryConfig,
    },
    error::BoxError,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TableStatus,
    },
};
use pii::{DynamoKeyStore, ErrorKind, ImportOptions, KeyAdmin, KeyId, KeyStore, LocalKeyring};
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

use crate::{
    dynamo_table::config,
    stores::{DynamoTable, TestStore as _},
    support::{OTHER, TENANT, assert_tells_nothing, copy, destroyed, open, process, record, seal},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_can_be_made_by_all_processes_at_once() {
    let at = DynamoTable::new().await;
    at.drop_table().await;
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let store = at.store();
            tokio::spawn(async move { store.create_table().await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let table = at.client.describe_table().table_name(&at.table).send().await.unwrap().table.unwrap();
    assert_eq!(table.table_status(), Some(&TableStatus::Active));
    assert_eq!(
        table.billing_mode_summary().unwrap().billing_mode(),
        Some(&BillingMode::PayPerRequest),
        "on-demand capacity"
    );
    // one that is there stays as it is, with what is in it
    let kept = record(1, TENANT, 0);
    at.store().elect(&kept).await.unwrap();
    at.store().create_table().await.unwrap();
    assert_eq!(at.store().load(kept.key_id).await.unwrap(), Some(kept));
}

/// Makes a table with these keys.
async fn other_table(at: &DynamoTable, keys: &[(&str, KeyType, ScalarAttributeType)]) {
    at.drop_table().await;
    let mut request = at.client.create_table().table_name(&at.table).billing_mode(BillingMode::PayPerRequest);
    for (name, key, attribute) in keys {
        request = request
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name(*name)
                    .attribute_type(attribute.clone())
                    .build()
                    .unwrap(),
            )
            .key_schema(
                KeySchemaElement::builder().attribute_name(*name).key_type(key.clone()).build().unwrap(),
            );
    }
    request.send().await.unwrap();
}

#[tokio::test]
async fn a_table_that_is_made_for_something_else_is_refused() {
    use {
        KeyType::{Hash, Range},
        ScalarAttributeType::{N, S},
    };
    let others: &[&[(&str, KeyType, ScalarAttributeType)]] =
        &[&[("id", Hash, S)], &[("pk", Hash, S)], &[("pk", Hash, S), ("sk", Range, N)]];
    let at = DynamoTable::new().await;
    for keys in others {
        other_table(&at, keys).await;
        let kept = record(1, TENANT, 0);
        for error in [
            at.store().create_table().await.unwrap_err(),
            at.store().elect(&kept).await.unwrap_err(),
            at.store().load(kept.key_id).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
            assert!(error.to_string().contains("`pk`"), "{error}");
            assert_tells_nothing(&error);
        }
    }
    other_table(&at, &[("pk", Hash, S), ("sk", Range, S)]).await;
    at.store().create_table().await.unwrap();
}

/// Loses the answers to this many writes: the service has done what it was asked, and the client learns
/// nothing. For one call at a time.
#[derive(Debug, Clone, Default)]
struct LosesAnswers {
    left: Arc<AtomicU32>,
    is_write: Arc<AtomicBool>,
}

impl Intercept for LosesAnswers {
    fn name(&self) -> &'static str {
        "LosesAnswers"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let target = context.request().headers().get("x-amz-target").unwrap_or_default();
        self.is_write.store(target.ends_with(".TransactWriteItems"), Ordering::Relaxed);
        Ok(())
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let lose_one = |left: u32| left.checked_sub(1);
        if self.is_write.load(Ordering::Relaxed)
            && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lose_one).is_ok()
        {
            *context.response_mut().status_mut() = 503_u16.try_into()?;
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_write_whose_answer_gets_lost_was_made_once() {
    let at = DynamoTable::new().await;
    let lost = LosesAnswers::default();
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let client = Client::from_conf(config().interceptor(lost.clone()).retry_config(retries).build());
    let store = DynamoKeyStore::new(&client).table(&at.table).unwrap();
    let mut current = record(1, TENANT, 0);
    lost.left.store(2, Ordering::Relaxed);
    assert_eq!(store.elect(&current).await.unwrap(), current);
    for round in 0..5 {
        let next = pii::KeyRecord { copies: vec![copy(&[0xff, round])], ..current.clone() };
        lost.left.store(2, Ordering::Relaxed);
        assert!(store.replace(&current, &next).await.unwrap(), "round {round}");
        assert_eq!(lost.left.load(Ordering::Relaxed), 0, "two answers were lost");
        assert_eq!(at.store().load(current.key_id).await.unwrap().as_ref(), Some(&next));
        current = next;
    }
    // and where no answer comes at all, that is an outage
    lost.left.store(u32::MAX, Ordering::Relaxed);
    let error = store.replace(&current, &destroyed(&current)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{error}");
    assert_tells_nothing(&error);
}

/// Point-in-time recovery makes another table. DynamoDB Local has none, so the records go there by export.
#[tokio::test]
async fn values_open_with_the_records_of_a_restored_table() {
    let (at, restored) = (DynamoTable::new().await, DynamoTable::new().await);
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("pii.key");
    let mut values = Vec::new();
    for tenant in [TENANT, OTHER, "third"] {
        let (text, key_id) = seal(&process(&key_file, at.open().await), 1, tenant).await.unwrap();
        values.push((tenant, text, key_id));
    }
    let erased = at.store().load(values[2].2).await.unwrap().unwrap();
    assert!(at.store().replace(&erased, &destroyed(&erased)).await.unwrap());

    let admin = |table: &DynamoTable| {
        let keyring = Arc::new(LocalKeyring::open(&key_file).unwrap());
        KeyAdmin::new(Arc::new(table.store())).keyring("default", keyring)
    };
    let mut file = Vec::new();
    admin(&at).export(&mut file, |_| ()).await.unwrap();
    at.drop_table().await;
    let report = admin(&restored).import(&mut &*file, &ImportOptions::default(), |_| ()).await.unwrap();
    assert_eq!(report.inserted, 3);
    assert!(report.conflicts.is_empty());
    assert!(admin(&restored).verify(|_| ()).await.unwrap().problems.is_empty());
    for (tenant, text, key_id) in &values[..2] {
        open(&process(&key_file, restored.open().await), 1, tenant, text).await.unwrap();
        let (_, used) = seal(&process(&key_file, restored.open().await), 2, tenant).await.unwrap();
        assert_eq!(used, *key_id, "the winner is the winner again");
    }
    let error = open(&process(&key_file, restored.open().await), 1, "third", &values[2].1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Erased, "the tombstone came along");
}

#[tokio::test]
async fn altered_elections_are_refused() {
    let at = DynamoTable::new().await;
    let store = at.store();
    let (kept, others) = (record(1, TENANT, 0), record(2, OTHER, 0));
    store.elect(&kept).await.unwrap();
    store.elect(&others).await.unwrap();
    let slot = kept.slot.digest();
    let election = |key_id: &str| {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        pii::Item::from([
            ("pk".to_owned(), text(&format!("slot-{slot}"))),
            ("sk".to_owned(), text("00000000")),
            ("key_id".to_owned(), text(key_id)),
        ])
    };
    for (key_id, kind) in [
        (others.key_id.to_string(), ErrorKind::ContextMismatch),
        (KeyId::from_bytes([7; 16]).to_string(), ErrorKind::KeyMissing),
        ("garbage".to_owned(), ErrorKind::Malformed),
    ] {
        at.put(election(&key_id)).await;
        for error in [store.active(&kept.slot).await.unwrap_err(), store.elect(&kept).await.unwrap_err()] {
            assert_eq!(error.kind(), kind, "{error}");
            assert_tells_nothing(&error);
        }
        // who holds the record keeps its values readable
        assert_eq!(store.insert(&kept).await.unwrap(), kept);
    }
    at.put(election(&kept.key_id.to_string())).await;
    assert_eq!(store.active(&kept.slot).await.unwrap().as_ref(), Some(&kept));
    // other things in the table are nobody's keys
    let mut foreign = election("x");
    foreign.insert("pk".to_owned(), AttributeValue::S("key-0".to_owned()));
    at.put(foreign).await;
    let listed: Vec<_> = store.list(None, 10).await.unwrap().into_iter().map(|(key_id, _)| key_id).collect();
    let mut expected = [kept.key_id, others.key_id];
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

/// A log of what one thread says.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn logs_at_trace_show_no_context() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let at = DynamoTable::new().await;
    // with it, the SDK happens to hide the bodies of requests
    let shows_bodies = config().stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    let client = Client::from_conf(shows_bodies.build());
    let store = DynamoKeyStore::new(&client).table(&at.table).unwrap();
    log.take();

    let kept = record(1, TENANT, 0);
    store.create_table().await.unwrap();
    store.elect(&kept).await.unwrap();
    store.insert(&record(2, OTHER, 0)).await.unwrap();
    assert!(store.replace(&kept, &destroyed(&kept)).await.unwrap());
    store.active(&kept.slot).await.unwrap();
    assert_eq!(store.list(None, 10).await.unwrap().len(), 2);
    let said = log.take();
    assert!(!said.contains("canary"), "{said}");

    // the same call of the application's own is heard
    let plain = client.put_item().table_name(&at.table);
    let item = [("pk", "a"), ("sk", "canary")]
        .map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())));
    plain.set_item(Some(pii::Item::from(item))).send().await.unwrap();
    assert!(log.take().contains("canary"), "the SDK logs what applications send");
}

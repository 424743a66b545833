//! Items of DynamoDB beside the bare AWS SDK with serde_dynamo: the same requests, text of the same length.
//!
//! Runs if `PII_TEST_DYNAMODB_ENDPOINT` is set (`cargo xtask services up` prints it).
#![allow(missing_docs, reason = "criterion's macros make an undocumented function")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest,
        ScalarAttributeType, WriteRequest,
    },
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures_util::TryStreamExt as _;
use pii::{
    Cryptor, DecryptItems as _, DynamoTable, EncryptedStr, FieldSelection, FileKeyStore, Item, KeyStore,
    LocalKeyring, PiiModel,
    testing::{DelayingKeyring, FailingKeyring},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

const VARIABLE: &str = "PII_TEST_DYNAMODB_ENDPOINT";
const ITEMS: usize = 1000;
/// DynamoDB's limit of a BatchWriteItem.
const BATCH: usize = 25;
/// Items of the parallel scan.
const MANY: usize = 100_000;
const SEGMENTS: u32 = 4;
/// A call to a key service.
const CALL: Duration = Duration::from_millis(5);
const ROUNDS: usize = 16;
const TENANT: &str = "acme";

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(app = "benchmark", tenant = self.tenant))]
struct Customer {
    #[pii(partition_key)]
    tenant: String,
    #[pii(sort_key)]
    id: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    ssn: EncryptedStr,
}

/// The same item without sealing: texts of the length that sealed ones have.
#[derive(Serialize, Deserialize, Clone)]
struct Plain {
    tenant: String,
    id: String,
    email: String,
    phone: String,
    ssn: String,
}

fn customers(numbers: std::ops::Range<usize>) -> Vec<Customer> {
    let customer = |number: usize| Customer {
        tenant: TENANT.into(),
        id: format!("c-{number:09}"),
        email: EncryptedStr::new(format!("customer.{number:015}@example.com")),
        phone: EncryptedStr::new(format!("+1-555-{number:08}")),
        ssn: EncryptedStr::new(format!("900-{number:07}")),
    };
    numbers.map(customer).collect()
}

/// A key service, counted; and where records of data keys are kept.
struct Setup {
    service: Arc<FailingKeyring<DelayingKeyring<LocalKeyring>>>,
    store: Arc<dyn KeyStore>,
    _folder: tempfile::TempDir,
}

impl Setup {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = LocalKeyring::create(folder.path().join("pii.key")).unwrap();
        Self {
            service: Arc::new(FailingKeyring::new(DelayingKeyring::new(local, CALL))),
            store: Arc::new(FileKeyStore::open(folder.path().join("keys")).unwrap()),
            _folder: folder,
        }
    }

    /// A program that has no key yet.
    fn process(&self) -> Cryptor {
        let builder = Cryptor::envelope().shared_keyring("default", self.service.clone());
        builder.shared_key_store(Arc::clone(&self.store)).build().unwrap()
    }
}

fn client() -> Option<Client> {
    let Ok(endpoint) = std::env::var(VARIABLE) else {
        println!("DynamoDB: not run, {VARIABLE} is not set (`cargo xtask services up`)");
        return None;
    };
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "benches"))
        .build();
    Some(Client::from_conf(config))
}

async fn create(client: &Client, purpose: &str) -> String {
    let name = format!("bench-{}-{purpose}", std::process::id());
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("tenant", KeyType::Hash), ("id", KeyType::Range)] {
        let definition = AttributeDefinition::builder().attribute_name(attribute);
        let definition = definition.attribute_type(ScalarAttributeType::S).build().unwrap();
        let key = KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().unwrap();
        request = request.attribute_definitions(definition).key_schema(key);
    }
    request.send().await.unwrap();
    name
}

/// What a program does that knows the SDK and serde_dynamo.
mod bare {
    use super::*;

    pub(super) async fn save(client: &Client, table: &str, items: &[Plain]) {
        for chunk in items.chunks(BATCH) {
            let writes = chunk.iter().map(|item| {
                let put = PutRequest::builder().set_item(Some(serde_dynamo::to_item(item).unwrap()));
                WriteRequest::builder().put_request(put.build().unwrap()).build()
            });
            let request = client.batch_write_item().request_items(table, writes.collect());
            let written = request.send().await.unwrap();
            assert!(written.unprocessed_items.is_none_or(|left| left.is_empty()));
        }
    }

    pub(super) async fn query(client: &Client, table: &str) -> Vec<Plain> {
        let mut pages = of_tenant(client, table).into_paginator().send();
        let mut items = Vec::new();
        while let Some(page) = pages.next().await {
            let page: Vec<Plain> = serde_dynamo::from_items(page.unwrap().items.unwrap()).unwrap();
            items.extend(page);
        }
        items
    }
}

fn of_tenant(
    client: &Client,
    table: &str,
) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
    client
        .query()
        .table_name(table)
        .key_condition_expression("tenant = :tenant")
        .expression_attribute_values(":tenant", AttributeValue::S(TENANT.into()))
}

/// Both ways in turns, on tables of their own, so that other work on the machine meets both alike.
fn in_turns(c: &mut Criterion) {
    let Some(client) = client() else { return };
    let runtime = Runtime::new().unwrap();
    let setup = Setup::new();
    let customers = customers(0..ITEMS);
    let (sealed, plain, items) = runtime.block_on(async {
        let sealed = create(&client, "sealed").await;
        let plain = create(&client, "plain").await;
        let cryptor = setup.process();
        let table = DynamoTable::<Customer>::named(&client, &cryptor, &sealed);
        table.put_many(&customers).await.unwrap().all().unwrap();
        let items: Vec<Plain> = bare::query(&client, &sealed).await;
        (sealed, plain, items)
    });
    let at_hand = setup.process();
    runtime.block_on(at_hand.prepare(&customers)).unwrap();
    let mut rows = [
        Row::new("save", 1, Way::Save),
        Row::new("save, key at hand", 0, Way::Save),
        Row::new("query", 1, Way::Query),
        Row::new("query, key at hand", 0, Way::Query),
        Row::new("SDK's query", 1, Way::Fluent),
        Row::new("SDK's query, key at hand", 0, Way::Fluent),
    ];
    for round in 0..ROUNDS {
        for row in &mut rows {
            let bare = || match row.way {
                Way::Save => timed(|| runtime.block_on(bare::save(&client, &plain, &items))),
                _ => timed(|| assert_eq!(runtime.block_on(bare::query(&client, &plain)).len(), ITEMS)),
            };
            let ours = || {
                // a program that begins has no key yet
                let cryptor = if row.calls == 0 { at_hand.clone() } else { setup.process() };
                let table = DynamoTable::<Customer>::named(&client, &cryptor, &sealed);
                let before = setup.service.calls();
                let time = timed(|| {
                    let done = match row.way {
                        Way::Save => runtime.block_on(async { table.put_many(&customers).await?.all() }),
                        Way::Query => runtime
                            .block_on(async { table.query(TENANT).decrypt_pii().await })
                            .map(|items| items.len()),
                        Way::Fluent => {
                            let items =
                                of_tenant(&client, &sealed).decrypt_pii(&cryptor).stream::<Customer>();
                            runtime.block_on(items.try_collect::<Vec<_>>()).map(|items| items.len())
                        }
                    };
                    assert_eq!(done.unwrap(), ITEMS);
                });
                assert_eq!(setup.service.calls() - before, row.calls, "key calls");
                time
            };
            let (bare, ours) = if round % 2 == 0 {
                let bare = bare();
                (bare, ours())
            } else {
                let ours = ours();
                (bare(), ours)
            };
            row.bare.push(bare);
            row.ours.push(ours);
        }
    }
    println!("\n{ITEMS} items x 3 sealed fields, {CALL:?} a key call; medians of {ROUNDS} rounds");
    println!("{:<26} {:>9} {:>12} {:>12} {:>7}", "", "key calls", "bare SDK", "pii", "ratio");
    rows.into_iter().for_each(Row::print);
    println!();
    processor(c, &runtime, &setup, &client, &sealed);
    runtime.block_on(async {
        for name in [sealed, plain] {
            client.delete_table().table_name(name).send().await.unwrap();
        }
    });
}

#[derive(Clone, Copy)]
enum Way {
    Save,
    Query,
    /// with the SDK's own builder
    Fluent,
}

/// Times of both.
struct Row {
    name: &'static str,
    calls: usize,
    way: Way,
    ours: Vec<Duration>,
    bare: Vec<Duration>,
}

impl Row {
    fn new(name: &'static str, calls: usize, way: Way) -> Self {
        Self { name, calls, way, ours: Vec::new(), bare: Vec::new() }
    }

    fn print(self) {
        let (ours, bare) = (median(self.ours), median(self.bare));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        println!("{:<26} {:>9} {bare:>12.1?} {ours:>12.1?} {ratio:>7.3}", self.name, self.calls);
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Time per item apart from input and output: what becomes of a model before it is sent, and of an item after
/// it came, with the key at hand.
fn processor(c: &mut Criterion, runtime: &Runtime, setup: &Setup, client: &Client, sealed: &str) {
    let cryptor = setup.process();
    let models = customers(0..BATCH);
    let items: Vec<Item> = runtime
        .block_on(of_tenant(client, sealed).limit(BATCH.try_into().unwrap()).send())
        .unwrap()
        .items
        .unwrap();
    let plain: Vec<Plain> = serde_dynamo::from_items(items.clone()).unwrap();
    let mut group = c.benchmark_group("25 items x 3 fields, without I/O");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("to items: serde_dynamo", |b| {
        b.iter(|| plain.iter().map(|item| serde_dynamo::to_item(item).unwrap()).collect::<Vec<Item>>());
    });
    group.bench_function("to items: pii", |b| {
        b.iter(|| {
            let sealed = runtime.block_on(cryptor.sealed_each(&models)).unwrap();
            sealed.iter().map(|item| serde_dynamo::to_item(item).unwrap()).collect::<Vec<Item>>()
        });
    });
    group.bench_function("from items: serde_dynamo", |b| {
        b.iter_batched(
            || items.clone(),
            |items| serde_dynamo::from_items::<_, Plain>(items).unwrap(),
            criterion::BatchSize::SmallInput,
        );
    });
    group.bench_function("from items: pii", |b| {
        b.iter_batched(
            || items.clone(),
            |items| {
                let mut models: Vec<Customer> = serde_dynamo::from_items(items).unwrap();
                runtime.block_on(cryptor.open_each(&mut models, &FieldSelection::All)).unwrap();
                models
            },
            criterion::BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Memory of a parallel scan that keeps nothing of what it gives: the greatest use above that before it.
fn memory(_: &mut Criterion) {
    let Some(client) = client() else { return };
    let runtime = Runtime::new().unwrap();
    let setup = Setup::new();
    let cryptor = setup.process();
    let name = runtime.block_on(async {
        let name = create(&client, "many").await;
        let table = DynamoTable::<Customer>::named(&client, &cryptor, &name);
        for begin in (0..MANY).step_by(5000) {
            table.put_many(&customers(begin..begin + 5000)).await.unwrap().all().unwrap();
        }
        name
    });
    let table = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    let scan = |segments: u32| {
        let (before, is_exact) = (resident("VmRSS:"), forget_peak());
        let began = Instant::now();
        let count = runtime.block_on(async {
            let mut items = table.scan().segments(segments).decrypt_pii().stream().unwrap();
            let mut count = 0;
            while let Some(item) = items.try_next().await.unwrap() {
                assert!(item.email.expose().is_ok());
                count += 1;
            }
            count
        });
        assert_eq!(count, MANY);
        let (Some(before), Some(peak)) = (before, resident("VmHWM:")) else {
            println!("scan with {segments} segments: the memory is not known here");
            return;
        };
        println!(
            "scan of {MANY} items, {segments} at a time: {:.1?}, at most {} MiB above the {} MiB before it{}",
            began.elapsed(),
            peak.saturating_sub(before) / 1024,
            before / 1024,
            if is_exact { "" } else { " (or of what came earlier)" },
        );
    };
    println!();
    scan(SEGMENTS);
    scan(1);
    runtime.block_on(client.delete_table().table_name(&name).send()).unwrap();
}

/// A line of `/proc/self/status`, in KiB; Linux alone has it.
fn resident(line: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|text| text.strip_prefix(line))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Has the greatest use of memory counted from now on: proc(5), `clear_refs`.
fn forget_peak() -> bool {
    std::fs::write("/proc/self/clear_refs", "5").is_ok()
}

// memory first: what others leave free would hide what it takes
criterion_group!(benches, memory, in_turns);
criterion_main!(benches);

//! Batches, queries and scans.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextRef,
    },
    error::BoxError,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType,
    },
};
use futures_util::{TryStreamExt as _, future::BoxFuture};
use pii::{AuditEvent, AuditFailure, AuditSink, DynamoTable, EncryptedStr, ErrorKind, PiiModel, ctx};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table},
};

/// Items of unequal field counts.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "visit", context(tenant = self.tenant))]
struct Visit {
    #[pii(partition_key)]
    tenant: String,
    #[pii(sort_key)]
    day: String,
    notes: EncryptedStr,
    phone: Option<EncryptedStr>,
    codes: Vec<EncryptedStr>,
}

fn visit(number: usize, bytes: usize) -> Visit {
    Visit {
        tenant: "acme".into(),
        day: format!("2026-{number:05}"),
        notes: EncryptedStr::new(format!("{number}: {}", "x".repeat(bytes))),
        phone: number.is_multiple_of(2).then(|| EncryptedStr::new(format!("555-{number}"))),
        codes: (0..number % 3).map(|code| EncryptedStr::new(format!("code {code}"))).collect(),
    }
}

fn check(visits: &[Visit], from: usize) {
    for (visit, number) in visits.iter().zip(from..) {
        assert_eq!(visit.day, format!("2026-{number:05}"));
        assert!(visit.notes.expose().unwrap().starts_with(&format!("{number}: ")));
        assert_eq!(visit.phone.is_some(), number.is_multiple_of(2));
        assert_eq!(visit.codes.len(), number % 3);
    }
}

#[tokio::test]
async fn more_than_a_megabyte_is_written_and_read_with_one_key_call_each_way() {
    let client = client();
    let name = table(&client, "tenant", Some("day")).await;
    let writer = cryptor();
    let visits: Vec<Visit> = (0..260).map(|number| visit(number, 6_000)).collect();
    let written = DynamoTable::<Visit>::named(&client, &writer, &name).put_many(&visits).await.unwrap();
    assert_eq!((written.done, written.left.len()), (260, 0));
    assert_eq!(writer.stats().key_calls(), 1);
    assert!(visits[7].notes.expose().is_ok());

    let reader = cryptor();
    let table = DynamoTable::<Visit>::named(&client, &reader, &name);
    let queried = table.query("acme").await.unwrap();
    assert_eq!((queried.len(), reader.stats().key_calls()), (260, 0));
    let queried = table.query("acme").decrypt_pii().await.unwrap();
    assert_eq!((queried.len(), reader.stats().key_calls()), (260, 1));
    check(&queried, 0);
    let pages: Vec<_> = table.query("acme").pages().unwrap().try_collect().await.unwrap();
    assert!(pages.len() > 1 && pages.last().unwrap().last_key.is_none());
    let scanned = table.scan().decrypt_pii().await.unwrap();
    check(&scanned, 0);
    let mut parallel: Vec<Visit> =
        table.scan().segments(4).decrypt_pii().stream().unwrap().try_collect().await.unwrap();
    parallel.sort_by(|one, other| one.day.cmp(&other.day));
    assert_eq!(parallel.len(), 260);
    check(&parallel, 0);

    let ids = (0..260).map(|number| ("acme".to_owned(), format!("2026-{number:05}")));
    let ids: Vec<_> =
        ids.chain([("acme".into(), "none".into()), ("acme".into(), "2026-00003".into())]).collect();
    let got = table.get_many(ids.clone()).decrypt_pii().await.unwrap();
    assert_eq!(got.len(), 262);
    assert!(got[260].is_none() && got[261].as_ref().unwrap().day == "2026-00003");
    check(&got.into_iter().flatten().take(260).collect::<Vec<_>>(), 0);

    let deleted = table.delete_many(ids).await.unwrap().all().unwrap();
    assert_eq!(deleted, 262);
    assert!(stored(&client, &name).await.is_empty());
}

/// Counts requests, and notes how many there were whenever a batch was opened.
#[derive(Debug, Default, Clone)]
struct Requests(Arc<(AtomicUsize, Mutex<Vec<usize>>)>);

impl Requests {
    fn counts(&self) -> Vec<usize> {
        self.0.0.store(0, Ordering::SeqCst);
        std::mem::take(&mut *self.0.1.lock().unwrap())
    }
}

impl Intercept for Requests {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl AuditSink for Requests {
    fn record<'a>(&'a self, _: &'a [AuditEvent]) -> BoxFuture<'a, pii::Result<()>> {
        self.0.1.lock().unwrap().push(self.0.0.load(Ordering::SeqCst));
        Box::pin(std::future::ready(Ok(())))
    }
}

#[tokio::test]
async fn who_wants_all_pages_has_the_next_one_asked_for_while_one_is_opened() {
    let (requests, writer) = (Requests::default(), cryptor());
    let client = Client::from_conf(client().config().to_builder().interceptor(requests.clone()).build());
    let name = table(&client, "tenant", Some("day")).await;
    let visits: Vec<Visit> = (0..500).map(|number| visit(number, 6_000)).collect();
    DynamoTable::<Visit>::named(&client, &writer, &name).put_many(&visits).await.unwrap().all().unwrap();
    let reader = writer.audited(Arc::new(requests.clone()), AuditFailure::Refuse);
    let table = DynamoTable::<Visit>::named(&client, &reader, &name);
    requests.counts();
    let pages: Vec<_> = table.query("acme").decrypt_pii().pages().unwrap().try_collect().await.unwrap();
    assert_eq!(pages.iter().map(|page| page.items.len()).sum::<usize>(), 500);
    let (count, one_after_the_other) = (pages.len(), requests.counts());
    assert!(count > 2);
    assert_eq!(one_after_the_other, (1..=count).collect::<Vec<_>>());
    let ahead: Vec<_> = (2..=count).chain([count]).collect();
    check(&table.query("acme").decrypt_pii().await.unwrap(), 0);
    assert_eq!(requests.counts(), ahead);
    let each = table.query("acme").decrypt_pii().each().await.unwrap();
    check(&each.into_iter().collect::<Result<Vec<_>, _>>().unwrap(), 0);
    assert_eq!(requests.counts(), ahead);
    // nothing beyond the limit is asked for
    let first = pages[0].items.len();
    for (limit, counts) in [(first - 1, vec![1]), (first, vec![1]), (first + 1, vec![2, 2])] {
        assert_eq!(table.query("acme").limit(limit).decrypt_pii().await.unwrap().len(), limit);
        assert_eq!(requests.counts(), counts, "{limit}");
    }
}

#[tokio::test]
async fn a_query_has_conditions_on_the_sort_key() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "tenant", Some("day")).await;
    let table = DynamoTable::<Visit>::named(&client, &cryptor, &name);
    let visits: Vec<Visit> = (0..30).map(|number| visit(number, 10)).collect();
    table.put_many(&visits).await.unwrap().all().unwrap();
    let days = |visits: Vec<Visit>| visits.into_iter().map(|visit| visit.day).collect::<Vec<_>>();
    assert_eq!(days(table.query("acme").sort_begins_with("2026-0001").await.unwrap()).len(), 10);
    assert_eq!(days(table.query("acme").sort_is("2026-00003").await.unwrap()), ["2026-00003"]);
    assert_eq!(days(table.query("acme").sort_between("2026-00003", "2026-00005").await.unwrap()).len(), 3);
    assert_eq!(days(table.query("acme").sort_at_least("2026-00028").await.unwrap()).len(), 2);
    assert_eq!(days(table.query("acme").sort_after("2026-00028").await.unwrap()), ["2026-00029"]);
    assert_eq!(days(table.query("acme").sort_before("2026-00001").await.unwrap()), ["2026-00000"]);
    assert_eq!(days(table.query("acme").sort_at_most("2026-00001").await.unwrap()).len(), 2);
    let last = table.query("acme").descending().limit(2).await.unwrap();
    assert_eq!(days(last), ["2026-00029", "2026-00028"]);
    assert!(table.query("initech").await.unwrap().is_empty());
    // on from where a page ended
    let mut pages = table.query("acme").limit(3).pages().unwrap();
    let page = pages.try_next().await.unwrap().unwrap();
    assert!(pages.try_next().await.unwrap().is_none());
    let rest = table.query("acme").start_after(page.last_key.unwrap()).await.unwrap();
    assert_eq!((rest.len(), rest[0].day.as_str()), (27, "2026-00003"));
    // a plain attribute may be compared, a sealed one not
    assert_eq!(
        table.query("acme").only("tenant", "acme").limit(4).await.unwrap_err().kind(),
        ErrorKind::Database
    );
    for error in [
        table.query("acme").only("notes", "7: x").await.unwrap_err(),
        table.scan().only("phone", "555-2").await.unwrap_err(),
        table.query("x").index("by_phone", "phone").await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("blind index"), "{error}");
    }
}

#[tokio::test]
async fn one_damaged_item_does_not_hide_the_others() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "tenant", Some("day")).await;
    let table = DynamoTable::<Visit>::named(&client, &cryptor, &name);
    let visits: Vec<Visit> = (0..6).map(|number| visit(number, 10)).collect();
    table.put_many(&visits).await.unwrap().all().unwrap();
    let items = stored(&client, &name).await;
    // a value of another row, one cut off, one of another type, one that lacks
    let mut moved = items[1].clone();
    moved.insert("notes".into(), items[0]["notes"].clone());
    let mut cut = items[2].clone();
    let text = items[2]["notes"].as_s().unwrap();
    cut.insert("notes".into(), AttributeValue::S(text[..text.len() - 3].into()));
    let mut number = items[3].clone();
    number.insert("notes".into(), AttributeValue::N("900123456".into()));
    let mut lacking = items[4].clone();
    lacking.remove("notes");
    for item in [moved, cut, number, lacking] {
        client.put_item().table_name(&name).set_item(Some(item)).send().await.unwrap();
    }
    let kinds = [
        None,
        Some(ErrorKind::Integrity),
        Some(ErrorKind::Malformed),
        Some(ErrorKind::Database),
        Some(ErrorKind::Database),
        None,
    ];
    let each = table.query("acme").decrypt_pii().each().await.unwrap();
    let of_scan = table.scan().decrypt_pii().each().await.unwrap();
    let ids: Vec<_> = visits.iter().map(|visit| (visit.tenant.clone(), visit.day.clone())).collect();
    let got = table.get_many(ids).decrypt_pii().each().await.unwrap();
    for (index, kind) in kinds.into_iter().enumerate() {
        let error = each[index].as_ref().err();
        assert_eq!(error.map(|error| error.kind()), kind, "{index}");
        assert_eq!(of_scan[index].as_ref().err().map(|error| error.kind()), kind);
        assert_eq!(got[index].as_ref().err().map(|error| error.kind()), kind);
        if let Some(error) = error {
            assert_eq!(error.row_id(), Some(&*format!("acme/2026-{index:05}")), "{error}");
            assert!(!format!("{error} {error:?}").contains("900123456"));
        }
    }
    assert_eq!(each[3].as_ref().unwrap_err().field_name(), Some("notes"));
    assert!(each[4].as_ref().unwrap_err().to_string().contains("`notes`"));
    assert!(table.query("acme").decrypt_pii().await.is_err());
}

#[tokio::test]
async fn requests_for_many_are_refused_where_conditions_are_needed() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let scoped = cryptor.scoped(ctx!(tenant = "acme"));
    let customers = DynamoTable::<Customer>::named(&client, &scoped, &name);
    let error = customers.put_many([&ada()]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert_eq!(customers.delete_many(["c-1".to_owned()]).await.unwrap_err().kind(), ErrorKind::Configuration);
    assert!(stored(&client, &name).await.is_empty());
    customers.put_many([&ada()]).unconditionally().await.unwrap().all().unwrap();
    let foreign = Customer { tenant: "initech".into(), ..ada() };
    let error = customers.put_many([&foreign]).unconditionally().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ContextMismatch);
    // the tenant is in the key: nothing else can be hit
    let name = table(&client, "tenant", Some("day")).await;
    let visits = DynamoTable::<Visit>::named(&client, &scoped, &name);
    visits.put_many([&visit(1, 1)]).await.unwrap().all().unwrap();
    let twice = visits.put_many([&visit(1, 1), &visit(1, 2)]).await.unwrap_err();
    assert_eq!((twice.kind(), twice.row_id()), (ErrorKind::Configuration, Some("acme/2026-00001")));
}

#[tokio::test]
async fn keys_that_read_alike_are_told_apart() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "tenant", Some("day")).await;
    let table = DynamoTable::<Visit>::named(&client, &cryptor, &name);
    // shown, both are a/b/c
    let visit = |tenant: &str, day: &str, text: &str| Visit {
        tenant: tenant.into(),
        day: day.into(),
        notes: EncryptedStr::new(text),
        ..visit(1, 1)
    };
    table.put_many([&visit("a/b", "c", "one"), &visit("a", "b/c", "other")]).await.unwrap().all().unwrap();
    let ids = [("a/b".to_owned(), "c".to_owned()), ("a".to_owned(), "b/c".to_owned())];
    let got = table.get_many(ids.clone()).decrypt_pii().await.unwrap();
    let notes: Vec<_> = got.iter().map(|visit| visit.as_ref().unwrap().notes.expose().unwrap()).collect();
    assert_eq!(notes, ["one", "other"]);
    assert_eq!(table.delete_many(ids).await.unwrap().all().unwrap(), 2);
    assert!(stored(&client, &name).await.is_empty());
}

#[tokio::test]
async fn an_index_is_queried_by_its_own_attribute() {
    let (client, cryptor) = (client(), cryptor());
    let name = format!("indexed-{}", std::process::id());
    let attribute = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let hash = |name: &str| {
        KeySchemaElement::builder().attribute_name(name).key_type(KeyType::Hash).build().unwrap()
    };
    let index = GlobalSecondaryIndex::builder()
        .index_name("by_city")
        .key_schema(hash("city"))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    let request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    let request = request.attribute_definitions(attribute("id")).attribute_definitions(attribute("city"));
    request.key_schema(hash("id")).global_secondary_indexes(index).send().await.unwrap();
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    let bob = Customer { id: "c-2".into(), city: "Paris".into(), ..ada() };
    customers.put_many([&ada(), &bob]).await.unwrap().all().unwrap();
    let mut found = Vec::new();
    for _ in 0..50 {
        found = customers.query("Paris").index("by_city", "city").decrypt_pii().await.unwrap();
        if !found.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((found.len(), found[0].id.as_str()), (1, "c-2"));
    assert_eq!(found[0].email.expose().unwrap(), "ada@example.com");
}

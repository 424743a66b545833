//! `.decrypt_pii()` on the SDK's own requests.

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeSerializationInterceptorContextMut,
    },
    error::BoxError,
    operation::{get_item::GetItemInput, query::QueryError},
    types::{
        AttributeValue, ComparisonOperator, Condition, Get, KeysAndAttributes, ReturnConsumedCapacity,
        Select, TransactGetItem,
    },
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use pii::{
    Cryptor, DecryptItems as _, DynamoTable, EncryptedStr, ErrorKind, Item, PiiModel, ValueState, ctx,
    dynamo_error,
};
use serde::{Deserialize, Serialize};

use crate::support::{client, cryptor, numbered_table};

/// Items of unequal field counts.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "letter", context(tenant = self.tenant))]
#[serde(deny_unknown_fields)]
struct Letter {
    #[pii(partition_key)]
    tenant: String,
    #[pii(sort_key)]
    number: i64,
    text: EncryptedStr,
    reply: Option<EncryptedStr>,
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "stamp", context(tenant = self.tenant))]
struct Stamp {
    #[pii(partition_key)]
    tenant: String,
    #[pii(sort_key)]
    number: i64,
    price: EncryptedStr,
}

fn letter(tenant: &str, number: i64, bytes: usize) -> Letter {
    Letter {
        tenant: tenant.into(),
        number,
        text: EncryptedStr::new(format!("{number}: {}", "x".repeat(bytes))),
        reply: (number % 2 == 0).then(|| EncryptedStr::new(format!("thanks for {number}"))),
    }
}

fn key(tenant: &str, number: i64) -> Item {
    Item::from([
        ("tenant".into(), AttributeValue::S(tenant.into())),
        // not the form in which DynamoDB gives it back
        ("number".into(), AttributeValue::N(format!("0{number}.0"))),
    ])
}

fn is_send<T: Send>(value: T) -> T {
    value
}

/// A table whose sort key is a number, with so many letters of one tenant.
async fn letters(client: &Client, cryptor: &Cryptor, count: i64, bytes: usize) -> String {
    let name = numbered_table(client, "tenant", "number").await;
    let letters: Vec<_> = (0..count).map(|number| letter("acme", number, bytes)).collect();
    let table = DynamoTable::<Letter>::named(client, cryptor, &name);
    table.put_many(&letters).await.unwrap().all().unwrap();
    name
}

/// Puts the sealed text of one item into another.
async fn damage(client: &Client, name: &str, number: i64, from: i64) {
    let from = client.get_item().table_name(name).set_key(Some(key("acme", from))).send().await.unwrap();
    let text = from.item.unwrap().remove("text").unwrap();
    let update = client.update_item().table_name(name).set_key(Some(key("acme", number)));
    let update = update.update_expression("SET #t = :t").expression_attribute_names("#t", "text");
    update.expression_attribute_values(":t", text).send().await.unwrap();
}

fn of_acme(client: &Client, name: &str) -> aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder {
    client
        .query()
        .table_name(name)
        .key_condition_expression("tenant = :tenant")
        .expression_attribute_values(":tenant", AttributeValue::S("acme".into()))
}

fn check(letters: &[Letter], count: i64) {
    assert_eq!(i64::try_from(letters.len()).unwrap(), count);
    for (letter, number) in letters.iter().zip(0..) {
        assert_eq!(letter.number, number);
        assert!(letter.text.expose().unwrap().starts_with(&format!("{number}: ")));
        assert_eq!(letter.reply.is_some(), number % 2 == 0);
    }
}

#[tokio::test]
async fn an_answer_keeps_its_counts_and_where_it_ended() {
    let (client, writer) = (client(), cryptor());
    let name = letters(&client, &writer, 6, 10).await;
    let reader = cryptor();
    let query = of_acme(&client, &name)
        .limit(4)
        .filter_expression("#n > :n")
        .expression_attribute_names("#n", "copies")
        .expression_attribute_values(":n", AttributeValue::N("0".into()))
        .return_consumed_capacity(ReturnConsumedCapacity::Total);
    let none = query.decrypt_pii(&reader).send::<Letter>().await.unwrap();
    assert_eq!((none.items.len(), none.output.count, none.output.scanned_count), (0, 0, 4));

    let query = of_acme(&client, &name).limit(4).return_consumed_capacity(ReturnConsumedCapacity::Total);
    let found = is_send(query.decrypt_pii(&reader).send::<Letter>()).await.unwrap();
    check(&found.items, 4);
    assert_eq!((found.output.count, found.output.scanned_count), (4, 4));
    assert!(found.output.items.is_none() && found.output.consumed_capacity.is_some());
    let rest = of_acme(&client, &name).set_exclusive_start_key(found.output.last_evaluated_key);
    let rest = rest.decrypt_pii(&reader).send::<Letter>().await.unwrap();
    assert_eq!(rest.items.iter().map(|letter| letter.number).collect::<Vec<_>>(), [4, 5]);
    assert!(rest.output.last_evaluated_key.is_none());
    assert_eq!(reader.stats().key_calls(), 1);

    let counted = client.scan().table_name(&name).select(Select::Count).decrypt_pii(&reader);
    let counted = counted.send::<Letter>().await.unwrap();
    assert_eq!((counted.items.len(), counted.output.count), (0, 6));
}

#[tokio::test]
async fn pages_of_more_than_a_megabyte_are_followed() {
    let (client, writer) = (client(), cryptor());
    let name = letters(&client, &writer, 260, 6_000).await;
    let reader = cryptor();

    let one = of_acme(&client, &name).decrypt_pii(&reader).send::<Letter>().await.unwrap();
    assert!(one.items.len() < 260 && one.output.last_evaluated_key.is_some());

    let pages = is_send(of_acme(&client, &name).decrypt_pii(&reader).pages::<Letter>());
    let pages: Vec<_> = pages.try_collect().await.unwrap();
    assert!(pages.len() > 1);
    for page in &pages {
        assert_eq!(i32::try_from(page.items.len()).unwrap(), page.output.count);
    }
    check(&pages.into_iter().flat_map(|page| page.items).collect::<Vec<_>>(), 260);

    let query = is_send(of_acme(&client, &name).decrypt_pii(&reader).stream::<Letter>());
    check(&query.try_collect::<Vec<_>>().await.unwrap(), 260);
    let scan = client.scan().table_name(&name).decrypt_pii(&reader).stream::<Letter>();
    check(&scan.try_collect::<Vec<_>>().await.unwrap(), 260);
    let paginator = client.scan().table_name(&name).into_paginator().page_size(50);
    let pages: Vec<_> = paginator.decrypt_pii(&reader).pages::<Letter>().try_collect().await.unwrap();
    assert!(pages.iter().all(|page| page.items.len() <= 50) && pages.len() > 5);
    check(&pages.into_iter().flat_map(|page| page.items).collect::<Vec<_>>(), 260);
    assert_eq!(reader.stats().key_calls(), 1);
}

#[tokio::test]
async fn a_page_is_asked_for_when_it_is_wanted() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 30, 10).await;
    let scan = client.scan().table_name(&name).limit(10).decrypt_pii(&cryptor);
    let mut items = scan.stream::<Letter>();
    for _ in 0..10 {
        items.try_next().await.unwrap().unwrap();
    }
    // the table goes away: what was there already was given, and the next page was not asked for yet
    client.delete_table().table_name(&name).send().await.unwrap();
    let error = items.try_next().await.unwrap_err();
    assert!(error.to_string().contains(&format!("there is no table `{name}`")), "{error}");
    assert!(items.next().await.is_none());
}

#[tokio::test]
async fn one_bad_item_does_not_hide_the_others() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 10, 10).await;
    damage(&client, &name, 4, 3).await;
    let shape = client.update_item().table_name(&name).set_key(Some(key("acme", 6)));
    let shape = shape.update_expression("SET #t = :t").expression_attribute_names("#t", "text");
    shape.expression_attribute_values(":t", AttributeValue::N("900123".into())).send().await.unwrap();

    let query = || of_acme(&client, &name).decrypt_pii(&cryptor);
    let each = is_send(query().each().send::<Letter>()).await.unwrap();
    assert_eq!((each.items.len(), each.output.count), (10, 10));
    for (item, number) in each.items.iter().zip(0..) {
        match (item, number) {
            (Err(error), 4) => {
                assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("acme/4")));
            }
            (Err(error), 6) => {
                assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("text")));
                assert_eq!(error.row_id(), Some("acme/6"));
                assert!(!format!("{error:?}").contains("900123"), "{error:?}");
            }
            (item, number) => assert_eq!(item.as_ref().unwrap().number, number),
        }
    }
    assert_eq!(query().send::<Letter>().await.unwrap_err().kind(), ErrorKind::Integrity);
    assert_eq!(query().pages::<Letter>().try_next().await.unwrap_err().kind(), ErrorKind::Integrity);
    // a stream gives what comes before the first bad one, and ends; on request it goes on
    let stream: Vec<_> = query().stream::<Letter>().collect().await;
    assert!(stream.len() == 5 && stream[..4].iter().all(Result::is_ok) && stream[4].is_err());
    let stream: Vec<_> = query().each().stream::<Letter>().collect().await;
    assert_eq!((stream.len(), stream.iter().filter(|item| item.is_err()).count()), (10, 2));
    let pages: Vec<_> = query().each().pages::<Letter>().try_collect().await.unwrap();
    assert_eq!(pages[0].items.len(), 10);
    // the table's own stream ends alike
    let table = DynamoTable::<Letter>::named(&client, &cryptor, &name);
    let stream: Vec<_> = table.query("acme").decrypt_pii().stream().unwrap().collect().await;
    assert!(stream.len() == 5 && stream[4].is_err());
}

#[tokio::test]
async fn chosen_fields_are_opened() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 2, 10).await;
    let query = of_acme(&client, &name).decrypt_pii(&cryptor).fields(["reply"]);
    let found = query.send::<Letter>().await.unwrap().items;
    assert_eq!(found[0].reply.as_ref().unwrap().expose().unwrap(), "thanks for 0");
    assert_eq!(found[0].text.state(), ValueState::Sealed);
    // refused before anything is sent: there is no such table
    let query = of_acme(&client, "no-such-table").decrypt_pii(&cryptor).fields(["txet"]);
    assert_eq!(query.send::<Letter>().await.unwrap_err().kind(), ErrorKind::Configuration);
    let query = of_acme(&client, "no-such-table").decrypt_pii(&cryptor).send::<Letter>();
    let error = query.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(dynamo_error::<QueryError>(&error).is_some());
}

#[tokio::test]
async fn items_come_by_their_keys() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 5, 10).await;
    let get = |number| client.get_item().table_name(&name).set_key(Some(key("acme", number)));
    let one = is_send(get(3).decrypt_pii(&cryptor).send::<Letter>()).await.unwrap();
    assert_eq!(one.items.unwrap().text.expose().unwrap(), "3: xxxxxxxxxx");
    assert!(one.output.item.is_none());
    let none = get(7).decrypt_pii(&cryptor).send::<Letter>().await.unwrap();
    assert!(none.items.is_none());

    let keys = [1, 7, 2].map(|number| key("acme", number));
    let keys = KeysAndAttributes::builder().set_keys(Some(keys.to_vec())).build().unwrap();
    let batch = client.batch_get_item().request_items(&name, keys).decrypt_pii(&cryptor);
    let batch = is_send(batch.send::<Letter>()).await.unwrap();
    let mut numbers: Vec<_> = batch.items.iter().map(|letter| letter.number).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2]);
    assert!(batch.output.unprocessed_keys.is_none_or(|keys| keys.is_empty()));

    let mut transaction = client.transact_get_items();
    for number in [4, 7, 0] {
        let get = Get::builder().table_name(&name).set_key(Some(key("acme", number))).build().unwrap();
        transaction = transaction.transact_items(TransactGetItem::builder().get(get).build());
    }
    damage(&client, &name, 0, 1).await;
    let each = is_send(transaction.clone().decrypt_pii(&cryptor).each().send::<Letter>()).await.unwrap();
    assert_eq!(each.items[0].as_ref().unwrap().as_ref().unwrap().number, 4);
    assert!(each.items[1].is_none());
    let error = each.items[2].as_ref().unwrap().as_ref().unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Integrity, Some("acme/0")));
    let error = transaction.decrypt_pii(&cryptor).send::<Letter>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
}

#[tokio::test]
async fn a_projection_keeps_what_values_are_bound_to() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 3, 10).await;
    let read = |name: &str, projection: &str| {
        let query = of_acme(&client, name).projection_expression(projection);
        let names =
            [("#t", "text"), ("#n", "number")].into_iter().filter(|(name, _)| projection.contains(name));
        names.fold(query, |query, (name, stands_for)| query.expression_attribute_names(name, stands_for))
    };
    let kept = read(&name, "tenant, #n, #t").decrypt_pii(&cryptor).send::<Letter>().await.unwrap();
    assert!(kept.items[0].text.expose().unwrap().starts_with("0: ") && kept.items[0].reply.is_none());
    // refused before they are sent: there is no such table
    for (projection, field) in [("tenant, #t", "number"), ("#n, #t", "tenant")] {
        let refused = read("no-such-table", projection).decrypt_pii(&cryptor).send::<Letter>().await;
        let error = refused.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some(field)), "{error}");
        let mut pages = read("no-such-table", projection).decrypt_pii(&cryptor).stream::<Letter>();
        assert_eq!(pages.try_next().await.unwrap_err().kind(), ErrorKind::Configuration);
    }
    // what else the model needs is missed when the items are read
    let error = read(&name, "tenant, #n").decrypt_pii(&cryptor).send::<Letter>().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Database && error.to_string().contains("`text`"), "{error}");
}

#[tokio::test]
async fn what_compares_a_sealed_attribute_is_not_sent() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 2, 10).await;
    let scan = |name: &str, filter: &str| {
        let scan = client.scan().table_name(name).filter_expression(filter);
        scan.expression_attribute_names("#t", "text").decrypt_pii(&cryptor)
    };
    let found = scan(&name, "attribute_exists(#t)").send::<Letter>().await.unwrap();
    assert_eq!(found.items.len(), 2);
    // there is no such table
    let error = scan("no-such-table", "contains(#t, tenant)").send::<Letter>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let error = scan("no-such-table", "#t = tenant").stream::<Letter>().try_next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let condition = Condition::builder().comparison_operator(ComparisonOperator::NotNull).build().unwrap();
    let old = client.scan().table_name("no-such-table").scan_filter("text", condition);
    let error = old.decrypt_pii(&cryptor).send::<Letter>().await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("text")));
}

#[tokio::test]
async fn entities_of_one_table_are_told_apart() {
    let (client, cryptor) = (client(), cryptor());
    let name = numbered_table(&client, "tenant", "number").await;
    let letters = DynamoTable::<Letter>::named(&client, &cryptor, &name).entity("entity");
    letters.put(&letter("acme", 1, 1)).await.unwrap();
    let stamp = Stamp { tenant: "acme".into(), number: 2, price: EncryptedStr::new("90 cents") };
    DynamoTable::<Stamp>::named(&client, &cryptor, &name).entity("entity").put(&stamp).await.unwrap();

    let found = of_acme(&client, &name).decrypt_pii(&cryptor).entity("entity").send::<Stamp>().await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].price.expose().unwrap(), "90 cents");
    let others = found.output.items.unwrap();
    assert_eq!((others.len(), others[0]["number"].as_n().unwrap().as_str()), (1, "1"));
    let scan = client.scan().table_name(&name).decrypt_pii(&cryptor).entity("entity").stream::<Letter>();
    assert_eq!(scan.try_collect::<Vec<_>>().await.unwrap()[0].number, 1);
    let get = client.get_item().table_name(&name).set_key(Some(key("acme", 1))).decrypt_pii(&cryptor);
    let other = get.entity("entity").send::<Stamp>().await.unwrap();
    assert!(other.items.is_none() && other.output.item.is_some());
    let blind = of_acme(&client, &name).projection_expression("tenant, price, #n");
    let blind = blind.expression_attribute_names("#n", "number").decrypt_pii(&cryptor).entity("entity");
    assert_eq!(blind.send::<Stamp>().await.unwrap_err().kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_scoped_cryptor_opens_its_own_items_only() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 2, 10).await;
    let table = DynamoTable::<Letter>::named(&client, &cryptor, &name);
    table.put(&letter("initech", 1, 10)).await.unwrap();
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let scan = || client.scan().table_name(&name).decrypt_pii(&acme);
    assert_eq!(scan().send::<Letter>().await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    let each = scan().each().send::<Letter>().await.unwrap().items;
    assert_eq!(each.iter().filter(|item| item.is_ok()).count(), 2);
    assert_eq!(of_acme(&client, &name).decrypt_pii(&acme).send::<Letter>().await.unwrap().items.len(), 2);
}

/// Asks the server for another item than the program did.
#[derive(Debug)]
struct Misleading;

impl Intercept for Misleading {
    fn name(&self) -> &'static str {
        "misleading"
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(input) = context.input_mut().downcast_mut::<GetItemInput>() {
            input.key = Some(key("acme", 1));
        }
        Ok(())
    }
}

#[tokio::test]
async fn an_item_that_was_not_asked_for_is_refused() {
    let (client, cryptor) = (client(), cryptor());
    let name = letters(&client, &cryptor, 2, 10).await;
    let misled = Client::from_conf(client.config().to_builder().interceptor(Misleading).build());
    // the values are good, and belong to the item that is given: only the question was another
    let get = |number| misled.get_item().table_name(&name).set_key(Some(key("acme", number)));
    assert_eq!(get(1).decrypt_pii(&cryptor).send::<Letter>().await.unwrap().items.unwrap().number, 1);
    let error = get(0).decrypt_pii(&cryptor).send::<Letter>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Integrity);
}

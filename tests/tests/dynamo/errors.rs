//! What does not fit, is damaged or is not there: errors that say where, and show no value.

use aws_sdk_dynamodb::{
    operation::{get_item::GetItemError, put_item::PutItemError},
    primitives::Blob,
    types::AttributeValue,
};
use pii::{
    DynamoTable, DynamoTransaction, EncryptedStr, Error, ErrorKind, Item, PiiModel, ValueState, ctx,
    dynamo_error,
};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{Errors, client, cryptor, stored, table, write_raw},
};

fn id() -> String {
    "c-1".to_owned()
}

/// One customer, and its item as it is stored.
async fn stored_ada() -> (aws_sdk_dynamodb::Client, DynamoTable<Customer>, String, Item) {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    customers.put(&ada()).await.unwrap();
    let item = stored(&client, &name).await.remove(0);
    (client, customers, name, item)
}

/// The item with this in place of an attribute.
fn with(item: &Item, attribute: &str, value: Option<AttributeValue>) -> Item {
    let mut item = item.clone();
    item.remove(attribute);
    item.extend(value.map(|value| (attribute.to_owned(), value)));
    item
}

async fn read(customers: &DynamoTable<Customer>) -> [Result<(), Error>; 4] {
    [
        customers.get(id()).await.map(drop),
        customers.get(id()).decrypt_pii().await.map(drop),
        customers.get_together([id()]).await.map(drop),
        customers.scan().await.map(drop),
    ]
}

#[tokio::test]
async fn an_attribute_of_another_type_is_named() {
    let (client, customers, name, item) = stored_ada().await;
    let canary = || "900123".to_owned();
    for (value, kind) in [
        (AttributeValue::N(canary()), "N"),
        (AttributeValue::B(Blob::new(canary())), "B"),
        (AttributeValue::Null(true), "NULL"),
        (AttributeValue::Bool(true), "BOOL"),
        (AttributeValue::L(vec![AttributeValue::S(canary())]), "L"),
        (AttributeValue::M([("a".to_owned(), AttributeValue::S(canary()))].into()), "M"),
        (AttributeValue::Ss(vec![canary()]), "SS"),
    ] {
        write_raw(&client, &name, with(&item, "email", Some(value))).await;
        for error in read(&customers).await.map(Result::unwrap_err) {
            assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("email")), "{kind}");
            assert_eq!((error.model_name(), error.row_id()), (Some("customer"), Some("c-1")));
            assert!(error.to_string().contains(&format!("`email` is of the type {kind};")), "{error}");
            assert!(!format!("{error:?}").contains("900123"), "{error:?}");
        }
    }
    write_raw(&client, &name, with(&item, "city", Some(AttributeValue::N(canary())))).await;
    for error in read(&customers).await.map(Result::unwrap_err) {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("city")), "{error}");
    }
    write_raw(&client, &name, with(&item, "email", None)).await;
    for error in read(&customers).await.map(Result::unwrap_err) {
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("has no `email`"), "{error}");
    }
    write_raw(&client, &name, item).await;
    assert!(read(&customers).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn an_optional_field_may_be_null_or_missing() {
    let (client, customers, name, item) = stored_ada().await;
    for value in [Some(AttributeValue::Null(true)), None] {
        write_raw(&client, &name, with(&item, "ssn", value)).await;
        let read = customers.get(id()).decrypt_pii().await.unwrap();
        assert!(read.ssn.is_none());
        customers.update(&read).await.unwrap();
        assert_eq!(stored(&client, &name).await, [with(&item, "ssn", None)]);
    }
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(tenant = self.tenant))]
#[serde(deny_unknown_fields)]
struct StrictCustomer {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    city: String,
    email: EncryptedStr,
    #[pii(mode = "WriteOnly")]
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn unknown_attributes_are_left_to_the_model() {
    let (client, customers, name, item) = stored_ada().await;
    let strict = DynamoTable::<StrictCustomer>::named(&client, &cryptor(), &name);
    assert_eq!(strict.get(id()).decrypt_pii().await.unwrap().email.expose().unwrap(), "ada@example.com");
    let more = with(&item, "nickname", Some(AttributeValue::S("nick-canary".into())));
    write_raw(&client, &name, more.clone()).await;
    assert_eq!(customers.get(id()).decrypt_pii().await.unwrap().email.expose().unwrap(), "ada@example.com");
    let error = strict.get(id()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Database, Some("c-1")));
    assert!(error.to_string().contains("deny_unknown_fields"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    // an update leaves what the model does not know
    let loaded = customers.get(id()).await.unwrap();
    customers.update(&loaded).await.unwrap();
    assert_eq!(stored(&client, &name).await, [more]);
}

#[tokio::test]
async fn a_damaged_value_is_refused() {
    let (client, customers, name, item) = stored_ada().await;
    let whole = item["email"].as_s().unwrap().clone();
    for (damaged, kind) in [
        (whole[..whole.len() - 4].to_owned(), ErrorKind::Integrity),
        (whole[..whole.len() - 3].to_owned(), ErrorKind::Malformed),
        (whole[..40].to_owned(), ErrorKind::Malformed),
        ("ENC:".to_owned(), ErrorKind::Malformed),
        ("ENC:not base64!".to_owned(), ErrorKind::Malformed),
        ("ENC:AAAA".to_owned(), ErrorKind::UnknownVersion),
        (format!(" {whole}"), ErrorKind::NotEncrypted),
        ("plain-canary".to_owned(), ErrorKind::NotEncrypted),
    ] {
        write_raw(&client, &name, with(&item, "email", Some(AttributeValue::S(damaged.clone())))).await;
        for (read, at) in read(&customers).await.into_iter().zip(0..) {
            // what is cut off in the tag shows when it is opened
            if kind == ErrorKind::Integrity && at != 1 {
                read.unwrap();
                continue;
            }
            let error = read.unwrap_err();
            assert_eq!((error.kind(), error.field_name()), (kind, Some("email")), "{damaged}: {error}");
            assert!(!format!("{error:?}").contains(&damaged), "{error:?}");
        }
        // no write takes it over either
        if kind != ErrorKind::Integrity {
            let mut broken = ada();
            broken.email = EncryptedStr::from_stored(damaged);
            assert_eq!(customers.put(&broken).await.unwrap_err().kind(), kind);
            assert_eq!(customers.update(&broken).fields(["email"]).await.unwrap_err().kind(), kind);
        }
    }
    write_raw(&client, &name, item).await;
    let read = customers.get(id()).decrypt_pii().await.unwrap();
    assert_eq!(read.email.state(), ValueState::Opened);
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_named() {
    let (client, cryptor) = (client(), cryptor());
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, "no-such-table");
    let ada = ada();
    let put = customers.put(&ada).await.unwrap_err();
    let service = dynamo_error::<PutItemError>(&put).unwrap().as_service_error().unwrap();
    assert!(service.is_resource_not_found_exception());
    assert!(dynamo_error::<GetItemError>(&put).is_none());
    for error in [
        put,
        customers.put(&ada).if_absent().await.unwrap_err(),
        customers.get(id()).await.map(drop).unwrap_err(),
        customers.get(id()).optional().await.map(drop).unwrap_err(),
        customers.update(&ada).await.unwrap_err(),
        customers.delete(id()).await.unwrap_err(),
        customers.get_many([id()]).await.map(drop).unwrap_err(),
        customers.get_together([id()]).await.map(drop).unwrap_err(),
        customers.query(id()).await.map(drop).unwrap_err(),
        customers.scan().await.map(drop).unwrap_err(),
        DynamoTransaction::new(&client).put(&customers, &ada).await.unwrap_err(),
        DynamoTransaction::new(&client).delete(&customers, id()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Database);
        assert!(error.to_string().contains("there is no table `no-such-table`"), "{error}");
        assert!(!error.is_retryable() && !error.is_not_found());
    }
    let nameless = DynamoTable::<Customer>::new(&client, &cryptor);
    let error = DynamoTransaction::new(&client).put(&nameless, &ada).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("names no table"), "{error}");
}

#[tokio::test]
async fn a_server_that_cannot_be_reached_is_worth_another_try() {
    let here = client();
    let config = here.config().to_builder().endpoint_url("http://127.0.0.1:9");
    let config = config.retry_config(aws_sdk_dynamodb::config::retry::RetryConfig::disabled()).build();
    let (client, cryptor) = (aws_sdk_dynamodb::Client::from_conf(config), cryptor());
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, "customers");
    let ada = ada();
    for error in [
        customers.put(&ada).await.unwrap_err(),
        customers.get(id()).await.map(drop).unwrap_err(),
        customers.get_together([id()]).await.map(drop).unwrap_err(),
        DynamoTransaction::new(&client).put(&customers, &ada).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::DatabaseUnavailable, "{error}");
        assert!(error.is_retryable() && error.to_string().contains("`customers`"), "{error}");
    }
}

#[tokio::test]
async fn no_error_shows_plaintext() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    let one = |id: &str| Customer {
        id: id.into(),
        city: "city-canary".into(),
        email: EncryptedStr::new("canary@example.com"),
        ssn: Some(EncryptedStr::new("900-12-canary")),
        ..ada()
    };
    let (first, absent) = (one("c-1"), one("c-9"));
    let mut errors = Errors::default();
    customers.put(&first).await.unwrap();
    errors.add(&customers.put(&first).if_absent().await.unwrap_err());
    errors.add(&customers.update(&absent).await.unwrap_err());
    errors.add(&customers.get("c-9".to_owned()).await.map(drop).unwrap_err());
    let begin = || DynamoTransaction::new(&client);
    errors.add(&begin().put_if_absent(&customers, &first).await.unwrap_err());
    errors.add(&begin().update(&customers, &absent).await.unwrap_err());
    let other = cryptor.scoped(ctx!(tenant = "tenant-canary"));
    let scoped = DynamoTable::<Customer>::named(&client, &other, &name);
    errors.add(&scoped.put(&first).await.unwrap_err());
    errors.add(&scoped.delete(id()).await.unwrap_err());
    errors.add(&begin().check(&scoped, id()).await.unwrap_err());
    let foreign = Customer { tenant: "tenant-canary".into(), ..one("c-1") };
    errors.add(&scoped.put(&foreign).await.unwrap_err());
    errors.add(&begin().put(&scoped, &foreign).await.unwrap_err());
    let mut moved = customers.get(id()).decrypt_pii().await.unwrap();
    moved.id = "c-2".into();
    errors.add(&customers.put(&moved).await.unwrap_err());
    let large = Customer { city: "canary ".repeat(80_000), ..one("c-3") };
    errors.add(&customers.put(&large).await.unwrap_err());
    errors.add(&begin().update(&customers, &large).await.unwrap_err());
    let item = stored(&client, &name).await.remove(0);
    for value in [
        AttributeValue::S("ENC:canary".into()),
        AttributeValue::S("plain-canary".into()),
        AttributeValue::Ss(vec!["set-canary".into()]),
        AttributeValue::M([("key-canary".to_owned(), AttributeValue::S("canary".into()))].into()),
    ] {
        write_raw(&client, &name, with(&item, "email", Some(value.clone()))).await;
        errors.add(&customers.get(id()).decrypt_pii().await.map(drop).unwrap_err());
        errors.add(&customers.get_together([id()]).decrypt_pii().await.map(drop).unwrap_err());
        write_raw(&client, &name, with(&item, "city", Some(AttributeValue::L(vec![value])))).await;
        errors.add(&customers.get(id()).await.map(drop).unwrap_err());
    }
    let gone = DynamoTable::<Customer>::named(&client, &cryptor, "no-such-table");
    errors.add(&gone.put(&first).await.unwrap_err());
    errors.add(&begin().put(&gone, &first).await.unwrap_err());
    // refused by the server itself: the table has another key
    let other_key = table(&client, "number", None).await;
    let misplaced = DynamoTable::<Customer>::named(&client, &cryptor, &other_key);
    errors.add(&misplaced.put(&first).await.unwrap_err());
    errors.add(&begin().put(&misplaced, &first).await.unwrap_err());
    assert_eq!(errors.printed().len(), 13 + 12 + 4);
    for printed in errors.printed() {
        assert!(!printed.contains("canary"), "{printed}");
    }
}

//! What someone who can write to the table may try, and keys that can't be had.

use aws_sdk_dynamodb::types::AttributeValue;
use pii::{
    Cryptor, DynamoTable, EncryptedStr, ErrorKind, Item, Mode, PiiModel, TestKeyring, ValueState, ctx,
    testing::FailingKeyring,
};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table, with_keyring, write_raw},
};

/// A patient has the same attributes as a visitor.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "patient", context(tenant = self.tenant))]
struct Patient {
    #[pii(partition_key)]
    ward: String,
    #[pii(sort_key)]
    bed: u32,
    tenant: String,
    name: EncryptedStr,
    phone: EncryptedStr,
    codes: Vec<EncryptedStr>,
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "visitor", context(tenant = self.tenant))]
struct Visitor {
    #[pii(partition_key)]
    ward: String,
    #[pii(sort_key)]
    bed: u32,
    tenant: String,
    name: EncryptedStr,
    phone: EncryptedStr,
    codes: Vec<EncryptedStr>,
}

fn patient(bed: u32) -> Patient {
    Patient {
        ward: "w-1".into(),
        bed,
        tenant: "acme".into(),
        name: EncryptedStr::new("Ada Lovelace"),
        phone: EncryptedStr::new("555-0100"),
        codes: vec![EncryptedStr::new("A00"), EncryptedStr::new("B99")],
    }
}

fn key(bed: u32) -> (String, u32) {
    ("w-1".to_owned(), bed)
}

/// A table whose sort key is a number.
async fn wards(client: &aws_sdk_dynamodb::Client) -> String {
    use aws_sdk_dynamodb::types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    };
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("wards-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind, of) in
        [("ward", KeyType::Hash, ScalarAttributeType::S), ("bed", KeyType::Range, ScalarAttributeType::N)]
    {
        let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(of);
        let element = KeySchemaElement::builder().attribute_name(attribute).key_type(kind);
        request =
            request.attribute_definitions(definition.build().unwrap()).key_schema(element.build().unwrap());
    }
    request.send().await.unwrap();
    name
}

async fn item_of(client: &aws_sdk_dynamodb::Client, table: &str, bed: &str) -> Item {
    let is_it = |item: &Item| item["bed"].as_n().unwrap() == bed;
    stored(client, table).await.into_iter().find(is_it).unwrap()
}

#[tokio::test]
async fn values_that_were_moved_do_not_open() {
    let (client, cryptor) = (client(), cryptor());
    let name = wards(&client).await;
    let patients = DynamoTable::<Patient>::named(&client, &cryptor, &name);
    patients.put(&patient(1)).await.unwrap();
    patients.put(&patient(2)).await.unwrap();
    let (first, second) = (item_of(&client, &name, "1").await, item_of(&client, &name, "2").await);
    let changed = |change: &dyn Fn(&mut Item)| {
        let mut item = second.clone();
        change(&mut item);
        item
    };
    let text = |text: &str| AttributeValue::S(text.into());
    let cases = [
        // the value of another item
        (changed(&|item| drop(item.insert("name".into(), first["name"].clone()))), "name"),
        // values swapped within the item
        (
            changed(&|item| {
                item.insert("name".into(), second["phone"].clone());
                item.insert("phone".into(), second["name"].clone());
            }),
            "name",
        ),
        // from a list to an attribute
        (
            changed(&|item| drop(item.insert("phone".into(), second["codes"].as_l().unwrap()[0].clone()))),
            "phone",
        ),
        // all values of another item
        (
            changed(&|item| {
                for name in ["name", "phone", "codes"] {
                    item.insert(name.into(), first[name].clone());
                }
            }),
            "name",
        ),
        // another tenant
        (changed(&|item| drop(item.insert("tenant".into(), text("initech")))), "name"),
    ];
    for (item, field) in cases {
        write_raw(&client, &name, item.clone()).await;
        for error in [
            patients.get(key(2)).decrypt_pii().await.map(drop).unwrap_err(),
            patients.get_together([key(2)]).decrypt_pii().await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error.kind(), ErrorKind::Integrity | ErrorKind::ContextMismatch), "{error}");
            assert!(error.is_integrity());
            assert_eq!((error.field_name(), error.row_id()), (Some(field), Some("w-1/2")), "{error}");
        }
        // the other item is whole
        let each = patients.get_together([key(1), key(2)]).decrypt_pii().each().await.unwrap();
        assert_eq!(each[0].as_ref().unwrap().as_ref().unwrap().name.expose().unwrap(), "Ada Lovelace");
        assert!(each[1].is_err());
    }
    write_raw(&client, &name, second).await;
    let whole = patients.get(key(2)).decrypt_pii().await.unwrap();
    assert_eq!((whole.phone.expose().unwrap(), whole.codes[1].expose().unwrap()), ("555-0100", "B99"));
}

#[tokio::test]
async fn an_item_that_was_moved_to_another_key_does_not_open() {
    let (client, cryptor) = (client(), cryptor());
    let name = wards(&client).await;
    let patients = DynamoTable::<Patient>::named(&client, &cryptor, &name);
    patients.put(&patient(1)).await.unwrap();
    let item = item_of(&client, &name, "1").await;
    for (ward, bed) in [("w-1", 7_u32), ("w-2", 1), ("w-11", 1), ("w", 1)] {
        let mut moved = item.clone();
        moved.insert("ward".into(), AttributeValue::S(ward.into()));
        moved.insert("bed".into(), AttributeValue::N(bed.to_string()));
        write_raw(&client, &name, moved).await;
        let error = patients.get((ward.to_owned(), bed)).decrypt_pii().await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Integrity, Some("name")));
        assert_eq!(error.row_id(), Some(&*format!("{ward}/{bed}")));
    }
    patients.get(key(1)).decrypt_pii().await.unwrap();
}

#[tokio::test]
async fn values_are_of_one_model_whatever_the_table_is_called() {
    let (client, cryptor) = (client(), cryptor());
    let (name, restored) = (wards(&client).await, wards(&client).await);
    DynamoTable::<Patient>::named(&client, &cryptor, &name).put(&patient(1)).await.unwrap();
    write_raw(&client, &restored, item_of(&client, &name, "1").await).await;
    // a copy of the table is the table
    let patients = DynamoTable::<Patient>::named(&client, &cryptor, &restored);
    assert_eq!(patients.get(key(1)).decrypt_pii().await.unwrap().name.expose().unwrap(), "Ada Lovelace");
    // the items of another model are not
    let visitors = DynamoTable::<Visitor>::named(&client, &cryptor, &restored);
    let error = visitors.get(key(1)).decrypt_pii().await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Integrity, Some("visitor")));
    assert_eq!(visitors.get(key(1)).await.unwrap().name.state(), ValueState::Sealed);
}

#[tokio::test]
async fn items_of_other_tenants_are_refused_when_loaded() {
    let (client, cryptor) = (client(), cryptor());
    let name = wards(&client).await;
    DynamoTable::<Patient>::named(&client, &cryptor, &name).put(&patient(1)).await.unwrap();
    let initech = cryptor.scoped(ctx!(tenant = "initech"));
    let patients = DynamoTable::<Patient>::named(&client, &initech, &name);
    for error in [
        patients.get(key(1)).await.map(drop).unwrap_err(),
        patients.get(key(1)).decrypt_pii().await.map(drop).unwrap_err(),
        patients.get_together([key(1)]).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::ContextMismatch);
        assert!(!format!("{error} {error:?}").contains("acme"), "{error:?}");
    }
    let acme = cryptor.scoped(ctx!(tenant = "acme"));
    let patients = DynamoTable::<Patient>::named(&client, &acme, &name);
    patients.get_together([key(1)]).decrypt_pii().await.unwrap();
}

#[tokio::test]
async fn loading_works_while_the_key_service_is_away_and_opening_says_why() {
    let (client, keyring) = (client(), FailingKeyring::new(TestKeyring::new()));
    let name = table(&client, "id", None).await;
    DynamoTable::<Customer>::named(&client, &with_keyring(keyring.clone()), &name).put(&ada()).await.unwrap();
    let before = stored(&client, &name).await;

    // a process of its own, which has no key yet
    let cryptor = with_keyring(keyring.clone());
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    keyring.fail_with(ErrorKind::KeyUnavailable);
    let id = || "c-1".to_owned();
    let mut loaded = customers.get(id()).await.unwrap();
    assert_eq!((loaded.city.as_str(), loaded.email.state()), ("London", ValueState::Sealed));
    for error in [
        customers.get(id()).decrypt_pii().await.map(drop).unwrap_err(),
        customers.get_together([id()]).decrypt_pii().await.map(drop).unwrap_err(),
        customers.scan().decrypt_pii().await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.row_id()), (ErrorKind::KeyUnavailable, Some("c-1")), "{error}");
        assert!(error.is_retryable());
    }
    // what is sealed can be saved without a key, and what is new can't
    loaded.city = "Paris".into();
    customers.update(&loaded).await.unwrap();
    let saved = stored(&client, &name).await;
    assert_eq!(saved[0]["email"], before[0]["email"]);
    loaded.email.set("new@example.com");
    assert_eq!(customers.update(&loaded).await.unwrap_err().kind(), ErrorKind::KeyUnavailable);
    assert_eq!(stored(&client, &name).await, saved);

    keyring.recover();
    customers.update(&loaded).fields(["email"]).await.unwrap();
    let opened = customers.get(id()).decrypt_pii().await.unwrap();
    assert_eq!((opened.city.as_str(), opened.email.expose().unwrap()), ("Paris", "new@example.com"));
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct LimitedCustomer {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    city: String,
    #[pii(mode = "ReadOnly")]
    email: EncryptedStr,
    #[pii(mode = "WriteOnly")]
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn modes_are_checked_before_a_request_is_sent() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let gone = DynamoTable::<LimitedCustomer>::named(&client, &cryptor, "no-such-table");
    let id = || "c-1".to_owned();
    for error in [
        gone.get(id()).decrypt_fields(["ssn"]).await.map(drop).unwrap_err(),
        gone.get_together([id()]).decrypt_fields(["ssn"]).await.map(drop).unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Mode, Some("ssn")));
        assert!(error.is_access() && error.to_string().contains("Cannot decrypt in WriteOnly mode"));
    }
    DynamoTable::<Customer>::named(&client, &cryptor, &name).put(&ada()).await.unwrap();
    let before = stored(&client, &name).await;
    let limited = DynamoTable::<LimitedCustomer>::named(&client, &cryptor, &name);
    let mut loaded = limited.get(id()).decrypt_pii().await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), "ada@example.com");
    assert_eq!(loaded.ssn.as_ref().unwrap().state(), ValueState::Sealed);
    limited.update(&loaded).await.unwrap();
    assert_eq!(stored(&client, &name).await, before);
    loaded.email.set("new@example.com");
    for error in [limited.update(&loaded).await.unwrap_err(), limited.put(&loaded).await.unwrap_err()] {
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Mode, Some("email")));
        assert!(error.to_string().contains("Cannot encrypt in ReadOnly mode"), "{error}");
    }
    // other fields may be written beside it
    loaded.ssn = Some(EncryptedStr::new("900-00-0000"));
    limited.update(&loaded).fields(["ssn"]).await.unwrap();
    let after = stored(&client, &name).await;
    assert_eq!(after[0]["email"], before[0]["email"]);
    assert_ne!(after[0]["ssn"], before[0]["ssn"]);

    let writer: Cryptor = cryptor.limited_to(Mode::WriteOnly);
    let blind = DynamoTable::<Customer>::named(&client, &writer, &name);
    assert_eq!(blind.get(id()).decrypt_pii().await.map(drop).unwrap_err().kind(), ErrorKind::Mode);
    blind.put(&ada()).await.unwrap();
    let reader = cryptor.limited_to(Mode::ReadOnly);
    let reading = DynamoTable::<Customer>::named(&client, &reader, &name);
    assert_eq!(reading.put(&ada()).await.unwrap_err().kind(), ErrorKind::Mode);
    assert_eq!(reading.get(id()).decrypt_pii().await.unwrap().email.expose().unwrap(), "ada@example.com");
}

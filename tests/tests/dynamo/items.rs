//! Single items: conditions, versions, scopes, entities and sizes.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use pii::{DynamoTable, EncryptedStr, ErrorKind, PiiModel, ctx};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table},
};

#[derive(PiiModel, Serialize, Deserialize, Clone)]
#[pii(name = "account")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Account {
    #[pii(partition_key)]
    bank: String,
    #[pii(sort_key)]
    number: String,
    holder_name: EncryptedStr,
    note: Option<EncryptedStr>,
    balance: i64,
    #[pii(version)]
    version: i64,
}

fn account() -> Account {
    Account {
        bank: "b-1".into(),
        number: "n-1".into(),
        holder_name: EncryptedStr::new("Ada Lovelace"),
        note: Some(EncryptedStr::new("prefers letters")),
        balance: 0,
        version: 1,
    }
}

fn key() -> (String, String) {
    ("b-1".into(), "n-1".into())
}

#[tokio::test]
async fn a_new_item_is_written_once() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    customers.put(&ada()).if_absent().await.unwrap();
    let error = customers.put(&ada()).if_absent().await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::Conflict, Some("c-1")));
    assert!(error.to_string().contains("an item has this key already"), "{error}");
    customers.put(&ada()).await.unwrap();
}

#[tokio::test]
async fn an_update_writes_the_chosen_fields_alone() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "bank", Some("number")).await;
    let accounts = DynamoTable::<Account>::named(&client, &cryptor, &name);
    accounts.put(&account()).if_absent().await.unwrap();
    let before = stored(&client, &name).await.remove(0);
    assert!(before["holderName"].as_s().unwrap().starts_with("ENC:"));

    let mut loaded = accounts.get(key()).decrypt_pii().await.unwrap();
    loaded.holder_name.set("Ada King");
    loaded.balance = 7;
    let calls = cryptor.stats().key_calls();
    accounts.update(&loaded).fields(["holder_name"]).await.unwrap();
    let after = stored(&client, &name).await.remove(0);
    assert_eq!(after["balance"], before["balance"]);
    assert_eq!(after["note"], before["note"]);
    assert_ne!(after["holderName"], before["holderName"]);
    assert_eq!(after["version"].as_n().unwrap(), "2");

    // whole: what was not changed stays byte by byte, and `None` is removed
    let mut loaded = accounts.get(key()).await.unwrap();
    loaded.note = None;
    loaded.balance = 9;
    accounts.update(&loaded).await.unwrap();
    let whole = stored(&client, &name).await.remove(0);
    assert_eq!(whole["holderName"], after["holderName"]);
    assert_eq!(whole["balance"].as_n().unwrap(), "9");
    assert!(!whole.contains_key("note"));
    assert_eq!(cryptor.stats().key_calls(), calls);
    let read = accounts.get(key()).decrypt_pii().await.unwrap();
    assert_eq!((read.holder_name.expose().unwrap(), read.version), ("Ada King", 3));

    for refused in ["number", "version", "holderName"] {
        let error = accounts.update(&read).fields([refused]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{refused}");
    }
}

#[tokio::test]
async fn writers_who_race_lose_no_update() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "bank", Some("number")).await;
    let accounts = Arc::new(DynamoTable::<Account>::named(&client, &cryptor, &name));
    accounts.put(&account()).if_absent().await.unwrap();
    let writers = (0..6).map(|writer| {
        let accounts = Arc::clone(&accounts);
        tokio::spawn(async move {
            for round in 0..5 {
                loop {
                    let mut loaded = accounts.get(key()).consistent().await.unwrap();
                    loaded.balance += 1;
                    // half of them put the item whole
                    let written = match (writer + round) % 2 {
                        0 => accounts.put(&loaded).await,
                        _ => accounts.update(&loaded).fields(["balance"]).await,
                    };
                    match written {
                        Ok(()) => break,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let read = accounts.get(key()).consistent().decrypt_pii().await.unwrap();
    assert_eq!((read.balance, read.version), (30, 31));
    assert_eq!(read.holder_name.expose().unwrap(), "Ada Lovelace");
}

#[tokio::test]
async fn what_is_not_there_is_neither_updated_nor_deleted() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "bank", Some("number")).await;
    let accounts = DynamoTable::<Account>::named(&client, &cryptor, &name);
    assert_eq!(accounts.update(&account()).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    let error = accounts.delete(key()).await.unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::RowNotFound, Some("b-1/n-1")));
    accounts.put(&account()).if_absent().await.unwrap();
    accounts.delete(key()).await.unwrap();
    assert!(stored(&client, &name).await.is_empty());
}

#[tokio::test]
async fn a_scoped_cryptor_touches_no_item_of_another_tenant() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    DynamoTable::<Customer>::named(&client, &cryptor, &name).put(&ada()).await.unwrap();
    let before = stored(&client, &name).await;

    let other = cryptor.scoped(ctx!(tenant = "initech"));
    let customers = DynamoTable::<Customer>::named(&client, &other, &name);
    let mine = Customer { tenant: "initech".into(), ..ada() };
    assert_eq!(customers.put(&mine).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    assert_eq!(customers.update(&mine).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    assert_eq!(customers.delete("c-1".to_owned()).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    assert_eq!(customers.get("c-1".to_owned()).await.unwrap_err().kind(), ErrorKind::ContextMismatch);
    assert_eq!(stored(&client, &name).await, before);

    let own = cryptor.scoped(ctx!(tenant = "acme"));
    let customers = DynamoTable::<Customer>::named(&client, &own, &name);
    customers.put(&ada()).await.unwrap();
    customers.update(&ada()).await.unwrap();
    customers.delete("c-1".to_owned()).await.unwrap();
}

/// A part of a customer.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(view_of = Customer, context(tenant = self.tenant))]
struct Contact {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    email: EncryptedStr,
}

#[tokio::test]
async fn a_view_changes_its_part_and_never_deletes_the_rest() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    DynamoTable::<Customer>::named(&client, &cryptor, &name).put(&ada()).await.unwrap();
    let contacts = DynamoTable::<Contact>::named(&client, &cryptor, &name);
    let mut contact = contacts.get("c-1".to_owned()).decrypt_pii().await.unwrap();
    contact.email.set("ada@example.org");
    assert_eq!(contacts.put(&contact).await.unwrap_err().kind(), ErrorKind::Configuration);
    assert_eq!(contacts.put_many([&contact]).await.unwrap_err().kind(), ErrorKind::Configuration);
    contacts.update(&contact).await.unwrap();
    let item = stored(&client, &name).await.remove(0);
    assert!(item["ssn"].as_s().unwrap().starts_with("ENC:") && item["city"].as_s().unwrap() == "London");
    let opened = contacts.get("c-1".to_owned()).decrypt_pii().await.unwrap();
    assert_eq!(opened.email.expose().unwrap(), "ada@example.org");
}

#[tokio::test]
async fn some_fields_are_not_sealed_for_another_tenant_than_the_stored_ones() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    customers.put(&ada()).await.unwrap();
    let before = stored(&client, &name).await;
    let moved = Customer { tenant: "initech".into(), email: EncryptedStr::new("ada@example.org"), ..ada() };
    let error = customers.update(&moved).fields(["email"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = customers.update(&moved).fields(["email", "tenant"]).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("tenant")));
    assert_eq!(stored(&client, &name).await, before);
    // whole, all values go along
    customers.update(&moved).await.unwrap();
    let opened = customers.get("c-1".to_owned()).decrypt_pii().await.unwrap();
    assert_eq!((opened.tenant.as_str(), opened.email.expose().unwrap()), ("initech", "ada@example.org"));
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "visit")]
#[serde(deny_unknown_fields)]
struct Visit {
    #[pii(partition_key)]
    id: String,
    reason: EncryptedStr,
}

#[tokio::test]
async fn entities_share_a_table() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name).entity("entity");
    let visits = DynamoTable::<Visit>::named(&client, &cryptor, &name).entity("entity");
    customers.put(&ada()).await.unwrap();
    let visit = Visit { id: "v-1".into(), reason: EncryptedStr::new("cough") };
    visits.put(&visit).await.unwrap();
    let entities: Vec<String> =
        stored(&client, &name).await.iter().map(|item| item["entity"].as_s().unwrap().clone()).collect();
    assert!(entities.contains(&"customer".to_owned()) && entities.contains(&"visit".to_owned()));
    assert_eq!(visits.get("v-1".to_owned()).decrypt_pii().await.unwrap().reason.expose().unwrap(), "cough");
    assert_eq!(visits.get("c-1".to_owned()).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    assert_eq!(visits.delete("c-1".to_owned()).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    // nor is an item of another model replaced
    let over = Visit { id: "c-1".into(), reason: EncryptedStr::new("cough") };
    let error = visits.put(&over).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("another model"), "{error}");
    visits.put(&visit).await.unwrap();
    visits.delete("v-1".to_owned()).await.unwrap();
}

#[tokio::test]
async fn an_item_above_400_kb_is_refused_before_it_is_sent() {
    let (client, cryptor) = (client(), cryptor());
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, "no-such-table");
    let large = Customer { email: EncryptedStr::new("x".repeat(320_000)), ..ada() };
    let error = customers.put(&large).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("email")));
    assert!(error.to_string().contains("no-such-table"), "{error}");
    let error = customers.update(&large).await.unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::TooLarge, Some("email")));
    // one that fits gets as far as the server
    let fits = Customer { email: EncryptedStr::new("x".repeat(300_000)), ..ada() };
    let error = customers.put(&fits).await.unwrap_err();
    assert!(error.to_string().contains("there is no table `no-such-table`"), "{error}");
}

#[tokio::test]
async fn the_size_of_an_item_is_known_without_a_key() {
    let (client, folder) = (client(), tempfile::tempdir().unwrap());
    let store = pii::FileKeyStore::open(folder.path()).unwrap();
    let keyring = pii::TestKeyring::new();
    let cryptor = pii::Cryptor::envelope().keyring(keyring).key_store(store).build().unwrap();
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    let size = customers.item_size(&ada()).unwrap();
    assert_eq!(cryptor.stats().key_calls(), 0);
    customers.put(&ada()).await.unwrap();
    let item = stored(&client, &name).await.remove(0);
    let bytes = |(name, value): (&String, &AttributeValue)| name.len() + value.as_s().unwrap().len();
    assert_eq!(size, item.iter().map(bytes).sum::<usize>());
}

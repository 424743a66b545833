//! The store in DynamoDB, and what only it can do.

use std::{
    env, process,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::SystemTime,
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Region},
    types::{AttributeValue, PutRequest, WriteRequest},
};
use pii::{DynamoKeyStore, Item, KeyId, KeyStore};
use serde_json::{Value, json};

use crate::stores::TestStore;

/// A table of its own. It stays: the server keeps it in memory only.
pub(crate) struct DynamoTable {
    pub(crate) client: Client,
    pub(crate) table: String,
}

pub(crate) fn config() -> Config {
    let Ok(endpoint) = env::var("PII_TEST_DYNAMODB_ENDPOINT") else {
        panic!(
            "PII_TEST_DYNAMODB_ENDPOINT is not set. `cargo xtask test` starts a DynamoDB and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        );
    };
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .build()
}

impl DynamoTable {
    /// The place of an item, as FORMAT.md says it.
    fn key(partition: &str, sort: &str) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        Item::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
    }

    fn record_key(key_id: KeyId) -> Item {
        let id = key_id.to_string();
        Self::key(&format!("key-{}", &id[..1]), &id)
    }

    async fn read(&self, key_id: KeyId) -> Value {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(Self::record_key(key_id)));
        let item = request.consistent_read(true).send().await.unwrap().item.unwrap();
        serde_json::from_str(item["record"].as_s().unwrap()).unwrap()
    }

    fn record_item(record: &Value) -> Item {
        let key_id = KeyId::parse(record["key_id"].as_str().unwrap()).unwrap();
        let mut item = Self::record_key(key_id);
        item.insert("record".to_owned(), AttributeValue::S(record.to_string()));
        item
    }

    pub(crate) async fn put(&self, item: Item) {
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }

    async fn delete(&self, key: Item) {
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await.unwrap();
    }

    /// The places of the elections that this key has won.
    async fn elections(&self, key_id: KeyId) -> Vec<Item> {
        let mut pages = self.client.scan().table_name(&self.table).consistent_read(true).into_paginator();
        pages = pages.page_size(100);
        let mut items = pages.items().send();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.unwrap();
            if item.get("key_id") == Some(&AttributeValue::S(key_id.to_string())) {
                found.push(Self::key(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap()));
            }
        }
        found
    }
}

impl TestStore for DynamoTable {
    const NAME: &'static str = "dynamodb";

    async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
        let table = format!("pii_keys_{now}_{}_{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let store = Self { client: Client::from_conf(config()), table };
        DynamoKeyStore::new(&store.client).table(&store.table).unwrap().create_table().await.unwrap();
        store
    }

    fn place(&self) -> String {
        self.table.clone()
    }

    async fn open_at(place: &str) -> Arc<dyn KeyStore> {
        let client = Client::from_conf(config());
        Arc::new(DynamoKeyStore::new(&client).table(place).unwrap())
    }

    async fn lose(&self, key_id: KeyId, and_election: bool) {
        if and_election {
            for election in self.elections(key_id).await {
                self.delete(election).await;
            }
        }
        self.delete(Self::record_key(key_id)).await;
    }

    /// `election` moves what the key has won: its value is the slot and the epoch.
    async fn alter(&self, key_id: KeyId, member: &str, value: &str) {
        if member == "election" {
            for election in self.elections(key_id).await {
                self.delete(election).await;
            }
            let (slot, epoch) = value.split_once('-').unwrap();
            let mut election = Self::key(&format!("slot-{slot}"), epoch);
            election.insert("key_id".to_owned(), AttributeValue::S(key_id.to_string()));
            return self.put(election).await;
        }
        let mut record = self.read(key_id).await;
        record[member] = match member {
            "context" | "copies" | "epoch" => serde_json::from_str(value).unwrap_or_else(|_| json!(value)),
            _ => json!(value),
        };
        self.put(Self::record_item(&record)).await;
    }

    async fn member(&self, key_id: KeyId, member: &str) -> String {
        match &self.read(key_id).await[member] {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        }
    }

    async fn plant(&self, from: KeyId, to: &[KeyId]) {
        let mut record = self.read(from).await;
        for some in to.chunks(25) {
            let requests = some.iter().map(|to| {
                record["key_id"] = json!(to.to_string());
                let put = PutRequest::builder().set_item(Some(Self::record_item(&record))).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            });
            let request = self.client.batch_write_item().request_items(&self.table, requests.collect());
            let left = request.send().await.unwrap().unprocessed_items;
            assert!(left.is_none_or(|left| left.is_empty()));
        }
    }

    async fn take_away(&self) {
        self.client.delete_table().table_name(&self.table).send().await.unwrap();
    }
}

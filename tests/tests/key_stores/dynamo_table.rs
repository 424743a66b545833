//! A key table in DynamoDB, and access to it behind the library's back, by the places of FORMAT.md.
#![allow(dead_code, reason = "each suite uses a part of it")]

use std::{
    env, process,
    sync::atomic::{AtomicU32, Ordering},
    time::SystemTime,
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client, Config,
    config::{BehaviorVersion, Builder, Region},
    types::{AttributeValue, PutRequest, WriteRequest},
};
use pii::{DynamoKeyStore, Item, KeyId};
use serde_json::{Value, json};

/// A table of its own. It stays: the server keeps it in memory only.
pub(crate) struct DynamoTable {
    pub(crate) client: Client,
    pub(crate) table: String,
}

pub(crate) fn config() -> Builder {
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
}

/// A name that no other test has, and none that ran before.
pub(crate) fn unique(begin: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{begin}-{now}-{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed))
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

    pub(crate) async fn read(&self, key_id: KeyId) -> Value {
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
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        let mut items = scan.into_paginator().items().send();
        let mut found = Vec::new();
        while let Some(item) = items.next().await {
            let item = item.unwrap();
            if item.get("key_id") == Some(&AttributeValue::S(key_id.to_string())) {
                found.push(Self::key(item["pk"].as_s().unwrap(), item["sk"].as_s().unwrap()));
            }
        }
        found
    }

    /// An empty one.
    pub(crate) async fn create() -> Self {
        let created = Self { client: Client::from_conf(config().build()), table: unique("pii-keys") };
        created.store().create_table().await.unwrap();
        created
    }

    /// A handle of its own, as another process has it.
    pub(crate) fn store(&self) -> DynamoKeyStore {
        Self::store_at(&self.table)
    }

    pub(crate) fn store_at(table: &str) -> DynamoKeyStore {
        DynamoKeyStore::new(&Client::from_conf(config().build())).table(table).unwrap()
    }

    pub(crate) async fn lose_record(&self, key_id: KeyId) {
        self.delete(Self::record_key(key_id)).await;
    }

    pub(crate) async fn lose_elections(&self, key_id: KeyId) {
        for election in self.elections(key_id).await {
            self.delete(election).await;
        }
    }

    /// Moves what the key has won to this slot and epoch, written `slot-epoch`.
    pub(crate) async fn move_election(&self, key_id: KeyId, to: &str) {
        self.lose_elections(key_id).await;
        let (slot, epoch) = to.split_once('-').unwrap();
        let mut election = Self::key(&format!("slot-{slot}"), epoch);
        election.insert("key_id".to_owned(), AttributeValue::S(key_id.to_string()));
        self.put(election).await;
    }

    pub(crate) async fn alter_member(&self, key_id: KeyId, member: &str, value: Value) {
        let mut record = self.read(key_id).await;
        record[member] = value;
        self.put(Self::record_item(&record)).await;
    }

    /// Copies a record to other key ids.
    pub(crate) async fn copy(&self, from: KeyId, to: &[KeyId]) {
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

    pub(crate) async fn drop_table(&self) {
        self.client.delete_table().table_name(&self.table).send().await.unwrap();
    }
}

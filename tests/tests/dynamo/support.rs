//! The server, and a table of its own for each test.

use std::{
    env,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Region},
    types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType},
};
use pii::{Cryptor, Error, Item, Keyring, TestKeyring};

const VARIABLE: &str = "PII_TEST_DYNAMODB_ENDPOINT";

pub(crate) fn client() -> Client {
    let endpoint = env::var(VARIABLE).unwrap_or_else(|_| {
        panic!("{VARIABLE} is not set: run `cargo xtask test`, or `cargo xtask services up` and set what it prints")
    });
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .region(Region::new("eu-west-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .build();
    Client::from_conf(config)
}

pub(crate) fn cryptor() -> Cryptor {
    with_keyring(TestKeyring::new())
}

pub(crate) fn with_keyring(keyring: impl Keyring) -> Cryptor {
    Cryptor::envelope().keyring(keyring).build().unwrap()
}

/// A new table with this partition key and sort key, texts both; gives its name.
pub(crate) async fn table(client: &Client, partition: &str, sort: Option<&str>) -> String {
    table_of(client, partition, sort, ScalarAttributeType::S).await
}

/// The same, with a sort key that is a number.
pub(crate) async fn numbered_table(client: &Client, partition: &str, sort: &str) -> String {
    table_of(client, partition, Some(sort), ScalarAttributeType::N).await
}

async fn table_of(
    client: &Client,
    partition: &str,
    sort: Option<&str>,
    sort_type: ScalarAttributeType,
) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    // a server that stays up sees the numbers of processes again
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    let name = format!("t-{now}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [(Some(partition), KeyType::Hash), (sort, KeyType::Range)]
        .into_iter()
        .filter_map(|(name, kind)| Some((name?, kind)))
    {
        let of_type = if kind == KeyType::Range { sort_type.clone() } else { ScalarAttributeType::S };
        request = request
            .attribute_definitions(
                AttributeDefinition::builder()
                    .attribute_name(attribute)
                    .attribute_type(of_type)
                    .build()
                    .unwrap(),
            )
            .key_schema(
                KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().unwrap(),
            );
    }
    request.send().await.unwrap();
    name
}

/// All items of a table as they are stored, read by nothing of ours.
pub(crate) async fn stored(client: &Client, table: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut pages = client.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap());
    }
    items
}

/// Compiles if the future can be spawned.
pub(crate) fn is_send<F: Future + Send>(future: F) -> F {
    future
}

/// Writes an item past this library.
pub(crate) async fn write_raw(client: &Client, table: &str, item: Item) {
    client.put_item().table_name(table).set_item(Some(item)).send().await.unwrap();
}

/// Collects errors, to search what they print for plaintext.
#[derive(Default)]
pub(crate) struct Errors(Vec<String>);

impl Errors {
    pub(crate) fn add(&mut self, error: &Error) {
        let mut printed = format!("{error}\n{error:?}\n{error:#?}\n");
        let mut source = std::error::Error::source(error);
        while let Some(below) = source {
            printed.push_str(&format!("{below}\n"));
            source = below.source();
        }
        self.0.push(printed);
    }

    pub(crate) fn printed(&self) -> &[String] {
        &self.0
    }
}

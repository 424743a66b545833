//! The tables of `docs/aws`: what CloudFormation makes of them is a key store, and Terraform has the same. moto,
//! an independent imitation of AWS, runs the template.

use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use aws_sdk_dynamodb::{
    Client,
    types::{BillingMode, PointInTimeRecoveryStatus, TableDescription},
};
use pii::{DynamoKeyStore, KeyStore as _};

use crate::{
    dynamo_table::{config, unique},
    support::{TENANT, destroyed, record},
};

const CLOUDFORMATION: &str = include_str!("../../../docs/aws/dynamodb.yaml");
const TERRAFORM: &str = include_str!("../../../docs/aws/dynamodb.tf");

fn endpoint() -> String {
    env::var("PII_TEST_KMS_ENDPOINT").unwrap_or_else(|_| {
        panic!(
            "PII_TEST_KMS_ENDPOINT is not set. `cargo xtask test` starts moto and sets it; \
             `eval \"$(cargo xtask services up)\"` does so for this shell"
        )
    })
}

/// The DynamoDB of moto.
fn client() -> Client {
    Client::from_conf(config().endpoint_url(endpoint()).build())
}

/// Makes the stack of a template; there is no client for that among the dependencies.
fn create_stack(name: &str, template: &str, app: &str) {
    let escape = |text: &str| {
        text.bytes().fold(String::new(), |mut escaped, byte| {
            write!(escaped, "%{byte:02X}").unwrap();
            escaped
        })
    };
    let body = format!(
        "Action=CreateStack&Version=2010-05-15&StackName={name}&TemplateBody={}&Capabilities.member.1=CAPABILITY_IAM\
         &Parameters.member.1.ParameterKey=App&Parameters.member.1.ParameterValue={app}",
        escape(template)
    );
    let endpoint = endpoint();
    let address = endpoint.strip_prefix("http://").unwrap().trim_end_matches('/');
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "POST / HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/eu-west-1/cloudformation/aws4_request, \
         SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("<StackId>"), "{answer}");
}

async fn described(client: &Client, table: &str) -> TableDescription {
    client.describe_table().table_name(table).send().await.unwrap().table.unwrap()
}

fn assert_is_safe(table: &TableDescription) {
    assert_eq!(table.deletion_protection_enabled(), Some(true));
    assert_eq!(table.billing_mode_summary().unwrap().billing_mode(), Some(&BillingMode::PayPerRequest));
}

async fn is_a_key_store(store: &DynamoKeyStore) {
    store.create_table().await.unwrap();
    let (first, second) = (record(1, TENANT, 0), record(2, TENANT, 0));
    assert_eq!(store.elect(&first).await.unwrap(), first);
    assert_eq!(store.elect(&second).await.unwrap(), first);
    assert_eq!(store.insert(&second).await.unwrap(), second);
    assert_eq!(store.active(&first.slot).await.unwrap().as_ref(), Some(&first));
    assert!(store.replace(&second, &destroyed(&second)).await.unwrap());
    assert!(!store.replace(&second, &destroyed(&second)).await.unwrap());
    assert_eq!(store.load(second.key_id).await.unwrap(), Some(destroyed(&second)));
    assert_eq!(store.list(None, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn cloudformation_makes_a_key_store() {
    let app = unique("shop");
    create_stack(&app, CLOUDFORMATION, &app);
    let client = client();
    let keys = format!("{app}-pii-data-keys");
    for table in [&keys, &format!("{app}-customers")] {
        assert_is_safe(&described(&client, table).await);
    }
    // of this part of a template, moto knows nothing
    assert_eq!(CLOUDFORMATION.matches("PointInTimeRecoveryEnabled: true").count(), 2);
    is_a_key_store(&DynamoKeyStore::new(&client).table(&keys).unwrap()).await;
}

#[tokio::test]
async fn a_table_that_the_store_makes_can_be_recovered() {
    let client = client();
    let table = unique("made");
    let store = DynamoKeyStore::new(&client).table(&table).unwrap();
    is_a_key_store(&store).await;
    assert_is_safe(&described(&client, &table).await);
    let backups = client.describe_continuous_backups().table_name(&table).send().await.unwrap();
    let backups = backups.continuous_backups_description.unwrap();
    let recovery = backups.point_in_time_recovery_description().unwrap();
    assert_eq!(recovery.point_in_time_recovery_status(), Some(&PointInTimeRecoveryStatus::Enabled));
}

/// As far as that can be seen without a provider of Terraform.
#[test]
fn terraform_says_the_same_of_the_key_table() {
    let begin = TERRAFORM.find("resource \"aws_dynamodb_table\" \"data_keys\"").unwrap();
    let table = &TERRAFORM[begin..begin + TERRAFORM[begin..].find("\n}\n").unwrap()];
    let settings: BTreeMap<&str, &str> = table
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim(), value.split('#').next().unwrap().trim()))
        .collect();
    for (name, value) in [
        ("hash_key", "\"pk\""),
        ("range_key", "\"sk\""),
        ("type", "\"S\""),
        ("billing_mode", "\"PAY_PER_REQUEST\""),
        ("deletion_protection_enabled", "true"),
        ("enabled", "true"),
        ("prevent_destroy", "true"),
    ] {
        assert_eq!(settings.get(name), Some(&value), "{name}");
    }
}

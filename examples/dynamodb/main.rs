//! Sealed attributes in DynamoDB: `cargo run --features dynamo --example dynamodb -- [endpoint]`.
//!
//! Without an endpoint, the one in PII_DYNAMODB_ENDPOINT is used, or that of a DynamoDB Local which
//! `cargo xtask services up` started. It makes a table of its own and deletes it in the end.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "an example prints, and stops where something is wrong"
)]

mod local;

use std::{env, error::Error, process::ExitCode};

use aws_sdk_dynamodb::{
    Client,
    error::DisplayErrorContext,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    },
};
use pii::{
    Cryptor, DynamoTable, EncryptedStr, ErrorKind, FileKeyStore, Item, LocalKeyring, PiiModel,
    PlaintextGuard, ctx,
};
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(app = "example", tenant = self.tenant))]
struct Customer {
    #[pii(partition_key)]
    tenant: String,
    #[pii(sort_key)]
    id: String,
    city: String,
    #[pii(mask = "email")]
    email: EncryptedStr,
    #[pii(mode = "WriteOnly", mask = "last4")]
    ssn: Option<EncryptedStr>,
}

fn customer(tenant: &str, id: &str, city: &str, email: &str, ssn: Option<&str>) -> Customer {
    Customer {
        tenant: tenant.into(),
        id: id.into(),
        city: city.into(),
        email: EncryptedStr::new(email),
        ssn: ssn.map(EncryptedStr::new),
    }
}

const PLAINTEXTS: [&str; 5] =
    ["ada@example.com", "grace@example.com", "linus@example.org", "900-12-3456", "900-65-4321"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let endpoint = env::args().nth(1).or_else(|| env::var("PII_DYNAMODB_ENDPOINT").ok());
    let endpoint = endpoint.or_else(|| env::var("PII_TEST_DYNAMODB_ENDPOINT").ok()).ok_or(
        "no endpoint: give one, such as `http://127.0.0.1:8000`, or run `eval \"$(cargo xtask services up)\"`",
    )?;
    let client = local::client(&endpoint);
    let name = format!("pii-example-{}", std::process::id());
    create_table(&client, &name)
        .await
        .map_err(|error| format!("no table can be made at {endpoint}: {}", DisplayErrorContext(&*error)))?;
    let shown = show(&client, &name).await;
    client.delete_table().table_name(&name).send().await?;
    shown
}

async fn show(client: &Client, name: &str) -> Result<(), Box<dyn Error>> {
    let folder = env::temp_dir().join(name);
    std::fs::create_dir_all(&folder)?;
    let cryptor = Cryptor::envelope()
        .keyring(LocalKeyring::create(folder.join("pii.key"))?)
        .key_store(FileKeyStore::open(folder.join("keys"))?)
        .build()?;
    let acme = DynamoTable::<Customer>::named(client, &cryptor.scoped(ctx!(tenant = "acme")), name);
    let initech = DynamoTable::<Customer>::named(client, &cryptor.scoped(ctx!(tenant = "initech")), name);

    println!("saving three customers of two tenants");
    let ada = customer("acme", "c-1", "London", PLAINTEXTS[0], Some(PLAINTEXTS[3]));
    println!("  in the program, a size of {} bytes once stored: {ada:?}", acme.item_size(&ada)?);
    acme.put(&ada).if_absent().await?;
    acme.put(&customer("acme", "c-2", "Washington", PLAINTEXTS[1], Some(PLAINTEXTS[4]))).await?;
    initech.put(&customer("initech", "c-1", "Portland", PLAINTEXTS[2], None)).await?;
    println!("  calls for keys: {}", cryptor.stats().key_calls());

    println!("\none item as the table holds it");
    let items = stored(client, name).await?;
    for (attribute, value) in sorted(&items[0]) {
        println!("  {attribute:7} {value:?}");
    }

    println!("\nthe customers of acme, without and with `decrypt_pii`");
    for customer in acme.query("acme").await? {
        println!("  {customer:?}");
    }
    for customer in acme.query("acme").decrypt_pii().await? {
        println!("  {customer:?}");
        println!("    on request: {}", customer.email.expose()?);
    }

    println!("\nwhat is refused");
    let foreign = initech.get(("acme".to_owned(), "c-1".to_owned())).await;
    refused("another tenant's cryptor", foreign, ErrorKind::ContextMismatch)?;
    let mut swapped = items[1].clone();
    swapped.insert("email".into(), items[0]["email"].clone());
    client.put_item().table_name(name).set_item(Some(swapped)).send().await?;
    let moved = acme.get(("acme".to_owned(), "c-2".to_owned())).decrypt_pii().await;
    refused("a value copied from another item", moved, ErrorKind::Integrity)?;
    let compared = acme.query("acme").only("email", PLAINTEXTS[0]).await;
    refused("a filter on a sealed attribute", compared, ErrorKind::Configuration)?;
    let guard = PlaintextGuard::new().table::<Customer>(name);
    let guarded = Client::from_conf(client.config().to_builder().interceptor(guard).build());
    let put = guarded.put_item().table_name(name).item("tenant", text("acme")).item("id", text("c-9"));
    match put.item("email", text(PLAINTEXTS[0])).send().await {
        Ok(_) => return Err("plaintext was sent".into()),
        Err(error) => println!("  plaintext by the SDK itself\n    {}", source_of(&error)),
    }

    println!("\nchanging one field");
    let mut ada = acme.get(("acme".to_owned(), "c-1".to_owned())).decrypt_pii().await?;
    ada.email.set("ada@example.org");
    acme.update(&ada).fields(["email"]).await?;
    let ada = acme.get(("acme".to_owned(), "c-1".to_owned())).decrypt_pii().await?;
    println!("  {ada:?}");

    let all = format!("{:?}", stored(client, name).await?);
    std::fs::remove_dir_all(&folder)?;
    match PLAINTEXTS.iter().find(|plaintext| all.contains(**plaintext)) {
        Some(_) => Err("a plaintext is in the table".into()),
        None => {
            println!("\nnone of {} plaintexts is in the table", PLAINTEXTS.len());
            Ok(())
        }
    }
}

fn refused<T>(what: &str, result: pii::Result<T>, kind: ErrorKind) -> Result<(), Box<dyn Error>> {
    match result {
        Err(error) if error.kind() == kind => {
            println!("  {what}\n    {error}");
            Ok(())
        }
        Err(error) => Err(format!("{what}: {error}").into()),
        Ok(_) => Err(format!("{what} was not refused").into()),
    }
}

/// The innermost error.
fn source_of(error: &dyn Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn sorted(item: &Item) -> Vec<(&String, &AttributeValue)> {
    let mut attributes: Vec<_> = item.iter().collect();
    attributes.sort_by_key(|(name, _)| *name);
    attributes
}

/// The items as they are stored, in the order of their keys.
async fn stored(client: &Client, name: &str) -> Result<Vec<Item>, Box<dyn Error>> {
    let found = client.scan().table_name(name).consistent_read(true).send().await?;
    let mut items = found.items.unwrap_or_default();
    items.sort_by_key(|item| format!("{:?}{:?}", item["tenant"], item["id"]));
    Ok(items)
}

async fn create_table(client: &Client, name: &str) -> Result<(), Box<dyn Error>> {
    let attribute = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build()
    };
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let table = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    let table = table.attribute_definitions(attribute("tenant")?).attribute_definitions(attribute("id")?);
    table.key_schema(key("tenant", KeyType::Hash)?).key_schema(key("id", KeyType::Range)?).send().await?;
    Ok(())
}

//! Policies for plaintext that are switched while the program runs.

use std::time::{Duration, SystemTime};

use pii::{
    Cryptor, EncryptedStr, Error, ErrorKind, FieldPolicies, LegacyPolicy, PiiModel,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    SqlTable, TestKeyring,
    testing::{FailingKeyring, assert_sealed_text},
};
use serde::{Deserialize, Serialize};
use sqlx::{Sqlite, SqlitePool, sqlite::SqlitePoolOptions};

use super::database::{Customer, plain_cryptor};

#[derive(PiiModel, Clone)]
#[pii(name = "person", table = "people", from_row)]
struct Person {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    name: String,
    email: EncryptedStr,
    #[pii(plaintext = "accept_and_seal")]
    phone: EncryptedStr,
    #[pii(nested)]
    address: Address,
    #[pii(level = 3)]
    ssn: Option<EncryptedStr>,
    #[pii(mode = "WriteOnly")]
    pin: Option<EncryptedStr>,
    #[pii(mode = "ReadOnly")]
    badge: Option<EncryptedStr>,
}

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    street: EncryptedStr,
    lines: Vec<EncryptedStr>,
}

#[derive(PiiModel)]
#[pii(view_of = Person, from_row)]
struct Contact {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

const ROW: &str = "insert into people values (1, 'Ada', 'ada@example.com', '555', \
                   '{\"street\":\"Main\",\"lines\":[\"one\"]}', null, null, null)";

async fn database() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    let ddl = "create table people (id integer primary key, name text, email text, phone text, address text, \
               ssn text, pin text, badge text)";
    sqlx::raw_sql(ddl).execute(&pool).await.unwrap();
    sqlx::raw_sql(ROW).execute(&pool).await.unwrap();
    pool
}

fn table(pool: &SqlitePool, cryptor: &Cryptor) -> SqlTable<Person, Sqlite> {
    SqlTable::new(pool, cryptor)
}

async fn stored(pool: &SqlitePool, id: i64, column: &'static str) -> String {
    let query = match column {
        "email" => "select email from people where id = $1",
        "phone" => "select phone from people where id = $1",
        "pin" => "select pin from people where id = $1",
        _ => "select address from people where id = $1",
    };
    sqlx::query_scalar(query).bind(id).fetch_one(pool).await.unwrap()
}

fn person(id: i64) -> Person {
    Person {
        id,
        name: "Ada".into(),
        email: EncryptedStr::new("ada@example.com"),
        phone: EncryptedStr::new("555"),
        address: Address { street: EncryptedStr::new("Main"), lines: vec![EncryptedStr::new("one")] },
        ssn: None,
        pin: None,
        badge: None,
    }
}

#[track_caller]
fn refused_at(error: &Error, field: &str) {
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::NotEncrypted, Some(field)), "{error}");
}

#[tokio::test]
async fn a_switch_is_seen_by_all_clones_at_once() {
    let pool = database().await;
    let policies = FieldPolicies::new();
    let before = plain_cryptor();
    let cryptor = before.with_policies(&policies);
    let clone = cryptor.clone();
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "email");

    let switch = policies.clone();
    for path in ["email", "address.street", "address.lines"] {
        switch.set("person", path, Prepare);
    }
    for cryptor in [&cryptor, &clone] {
        let row = table(&pool, cryptor).get(1).await.unwrap();
        assert_eq!(row.email.expose().unwrap(), "ada@example.com");
    }
    refused_at(&table(&pool, &before).get(1).await.unwrap_err(), "email");
    table(&pool, &clone).insert(&person(2)).await.unwrap();
    assert_eq!(stored(&pool, 2, "email").await, "ada@example.com");
    assert_eq!(stored(&pool, 2, "address").await, r#"{"street":"Main","lines":["one"]}"#);
    assert_sealed_text(&stored(&pool, 2, "phone").await);

    let mut loaded = table(&pool, &cryptor).get(1).await.unwrap();
    for path in ["email", "address.street", "address.lines"] {
        switch.set("person", path, AcceptAndSeal);
    }
    loaded.email.set("ada@example.org");
    table(&pool, &cryptor).update(&loaded).await.unwrap();
    assert_sealed_text(&stored(&pool, 1, "email").await);
    let lines: serde_json::Value = serde_json::from_str(&stored(&pool, 1, "address").await).unwrap();
    assert_sealed_text(lines["street"].as_str().unwrap());
    assert_sealed_text(lines["lines"][0].as_str().unwrap());

    switch.clear("person", "email");
    refused_at(&table(&pool, &clone).get(2).await.unwrap_err(), "email");
    let row = table(&pool, &clone).get(1).decrypt_pii().await.unwrap();
    assert_eq!(row.email.expose().unwrap(), "ada@example.org");
}

#[tokio::test]
async fn a_field_goes_before_its_model_and_that_before_the_derive() {
    let pool = database().await;
    let policies = FieldPolicies::new();
    let cryptor = plain_cryptor().with_policies(&policies);
    policies.set_model("person", AcceptAndSeal);
    table(&pool, &cryptor).get(1).await.unwrap();
    policies.set("person", "address.street", Reject);
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "address.street");
    policies.set_model("person", Reject);
    policies.clear("person", "address.street");
    for field in ["email", "address.street", "address.lines"] {
        policies.set("person", field, AcceptAndSeal);
    }
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "phone");
    policies.clear_model("person");
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "email");
}

#[tokio::test]
async fn a_policy_may_end_by_itself() {
    let pool = database().await;
    let policies = FieldPolicies::new();
    let cryptor = plain_cryptor().with_policies(&policies);
    let hour = Duration::from_secs(3600);
    policies.set_model_until("person", AcceptAndSeal, SystemTime::now() + hour);
    table(&pool, &cryptor).get(1).await.unwrap();
    let end = SystemTime::now() + Duration::from_millis(300);
    policies.set_until("person", "email", AcceptAndSeal, end);
    table(&pool, &cryptor).get(1).await.unwrap();
    while SystemTime::now() < end {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "email");
    policies.clear("person", "email");
    policies.set_model_until("person", AcceptAndSeal, SystemTime::now() - hour);
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "email");
    policies.clear_model("person");
    for field in ["email", "address.street", "address.lines"] {
        policies.set("person", field, AcceptAndSeal);
    }
    table(&pool, &cryptor).get(1).await.unwrap();
    policies.set_until("person", "phone", AcceptAndSeal, SystemTime::now() - hour);
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "phone");
}

#[tokio::test]
async fn level_3_stays_at_reject() {
    let pool = database().await;
    sqlx::raw_sql("update people set ssn = '900-12-canary'").execute(&pool).await.unwrap();
    let policies = FieldPolicies::new();
    let cryptor = plain_cryptor().with_policies(&policies);
    policies.set_model("person", AcceptAndSeal);
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "ssn");
    policies.set("person", "ssn", Reject);
    refused_at(&table(&pool, &cryptor).get(1).await.unwrap_err(), "ssn");
    for lax in [AcceptAndSeal, Prepare] {
        policies.set("person", "ssn", lax);
        let error = table(&pool, &cryptor).get(1).await.unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Configuration, Some("ssn")), "{error}");
    }
}

#[tokio::test]
async fn what_a_model_cannot_have_is_refused_before_anything_happens() {
    type Set = fn(&FieldPolicies);
    let wrong: [(&str, Set); 9] = [
        ("emial", |policies| policies.set("person", "emial", AcceptAndSeal)),
        ("name", |policies| policies.set("person", "name", AcceptAndSeal)),
        ("address", |policies| policies.set("person", "address", AcceptAndSeal)),
        ("address.streets", |policies| policies.set("person", "address.streets", AcceptAndSeal)),
        ("email.street", |policies| policies.set("person", "email.street", Reject)),
        ("pin", |policies| policies.set("person", "pin", Prepare)),
        ("pin", |policies| policies.set_model("person", Prepare)),
        ("email", |policies| policies.set_legacy("person", "email", LegacyPolicy::ReadAndSeal)),
        ("ssn", |policies| policies.set("person", "ssn", AcceptAndSeal)),
    ];
    let pool = database().await;
    for (field, set) in wrong {
        let policies = FieldPolicies::new();
        set(&policies);
        let cryptor = plain_cryptor().with_policies(&policies);
        let table = table(&pool, &cryptor);
        for error in [
            policies.check(&[Person::MODEL]).unwrap_err(),
            table.get(1).await.unwrap_err(),
            table.insert(&person(2)).await.unwrap_err(),
            cryptor.prepare(&[person(2)]).await.unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.field_name()),
                (ErrorKind::Configuration, Some(field)),
                "{error}"
            );
        }
    }
    let count: i64 = sqlx::query_scalar("select count(*) from people").fetch_one(&pool).await.unwrap();
    assert_eq!(count, 1);

    let policies = FieldPolicies::new();
    policies.set_model("person", Prepare);
    policies.set("person", "pin", AcceptAndSeal);
    policies.check(&[Person::MODEL]).unwrap();
    let cryptor = plain_cryptor().with_policies(&policies);
    let row = Person { pin: Some(EncryptedStr::new("1234")), ..person(2) };
    table(&pool, &cryptor).insert(&row).await.unwrap();
    assert_sealed_text(&stored(&pool, 2, "pin").await);
    assert_eq!(stored(&pool, 2, "phone").await, "555");
}

#[tokio::test]
async fn names_are_checked_against_all_models() {
    let policies = FieldPolicies::new();
    policies.set("person", "email", AcceptAndSeal);
    policies.set_model("customer", Reject);
    policies.check(&[Person::MODEL, Customer::MODEL, Contact::MODEL]).unwrap();
    let error = policies.check(&[Person::MODEL]).unwrap_err();
    assert_eq!((error.kind(), error.model_name()), (ErrorKind::Configuration, Some("customer")));
    policies.clear_model("customer");
    policies.check(&[Person::MODEL]).unwrap();

    policies.set_legacy("customer", "ssn", LegacyPolicy::ReadAndSeal);
    policies.check(&[Person::MODEL, Customer::MODEL]).unwrap();
    policies.set("customer", "ssn", Prepare);
    let error = policies.check(&[Person::MODEL, Customer::MODEL]).unwrap_err();
    assert_eq!(error.field_name(), Some("ssn"), "{error}");
    policies.set_legacy("customer", "ssn", LegacyPolicy::Reject);
    policies.check(&[Person::MODEL, Customer::MODEL]).unwrap();
}

#[tokio::test]
async fn a_view_follows_the_policies_of_its_model() {
    let pool = database().await;
    let policies = FieldPolicies::new();
    let cryptor = plain_cryptor().with_policies(&policies);
    let contacts = SqlTable::<Contact, Sqlite>::new(&pool, &cryptor);
    refused_at(&contacts.get(1).await.unwrap_err(), "email");
    policies.set("person", "phone", Reject);
    policies.set("person", "email", AcceptAndSeal);
    assert_eq!(contacts.get(1).await.unwrap().email.expose().unwrap(), "ada@example.com");
}

#[tokio::test]
async fn a_field_that_is_written_as_plaintext_needs_no_key() {
    let policies = FieldPolicies::new();
    let keyring = FailingKeyring::new(TestKeyring::new());
    keyring.fail_with(ErrorKind::KeyUnavailable);
    let cryptor = Cryptor::envelope().keyring(keyring).build().unwrap().with_policies(&policies);
    let contact = [Contact { id: 1, email: EncryptedStr::new("ada@example.com") }];
    assert!(cryptor.prepare(&contact).await.is_err());
    policies.set("person", "email", Prepare);
    cryptor.prepare(&contact).await.unwrap();
    let texts = cryptor.seal_texts(&contact).await.unwrap().remove(0).next().unwrap();
    assert_eq!(texts.as_str(), "ada@example.com");
}

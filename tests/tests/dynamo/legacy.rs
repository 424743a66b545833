//! A table of plaintext that is sealed step by step, beside a program that knows nothing of this library.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use pii::{
    DynamoTable, DynamoTransaction, EncryptedStr, ErrorKind, FieldPolicies, Item, PiiModel,
    PlaintextPolicy::{AcceptAndSeal, Prepare, Reject},
    ValueState,
    testing::{assert_no_plaintext, assert_sealed_text},
};
use serde::{Deserialize, Serialize};

use crate::support::{client, cryptor, stored, table, write_raw};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "member")]
struct Member {
    #[pii(partition_key)]
    id: String,
    city: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
    #[serde(default)]
    tags: Vec<EncryptedStr>,
}

fn member(id: &str) -> Member {
    Member {
        id: id.into(),
        city: "London".into(),
        email: EncryptedStr::new(format!("{id}@ours.example")),
        phone: Some(EncryptedStr::new("555-0199")),
        tags: vec![EncryptedStr::new("vip-canary")],
    }
}

/// The other program.
struct Other<'a> {
    client: &'a Client,
    table: &'a str,
}

impl Other<'_> {
    async fn writes(&self, id: &str, email: &str) {
        let text = |text: &str| AttributeValue::S(text.into());
        let item = [("id", text(id)), ("city", text("Paris")), ("email", text(email))];
        let item = item.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        write_raw(self.client, self.table, item).await;
    }

    async fn changes(&self, id: &str, email: &str) {
        let request = self.client.update_item().table_name(self.table);
        request
            .key("id", AttributeValue::S(id.into()))
            .update_expression("SET email = :email")
            .expression_attribute_values(":email", AttributeValue::S(email.into()))
            .send()
            .await
            .unwrap();
    }

    async fn reads(&self, id: &str) -> String {
        self.item(id).await["email"].as_s().unwrap().clone()
    }

    async fn item(&self, id: &str) -> Item {
        let request = self.client.get_item().table_name(self.table).consistent_read(true);
        request.key("id", AttributeValue::S(id.into())).send().await.unwrap().item.unwrap()
    }
}

#[tokio::test]
async fn a_table_of_plaintext_is_sealed_step_by_step_and_back_once() {
    let client = client();
    let policies = FieldPolicies::new();
    let cryptor = cryptor().with_policies(&policies);
    let name = table(&client, "id", None).await;
    let members = DynamoTable::<Member>::named(&client, &cryptor, &name);
    let other = Other { client: &client, table: &name };
    for number in 1..=4 {
        other.writes(&format!("m-{number}"), &format!("m-{number}@theirs.example")).await;
    }

    // strict, as the derive says: nothing is read
    let error = members.get("m-1".to_owned()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.field_name()), (ErrorKind::NotEncrypted, Some("email")));

    // 1. both programs read and write plaintext
    policies.set_model("member", Prepare);
    let mut loaded = members.get("m-1".to_owned()).await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), "m-1@theirs.example");
    loaded.email.set("m-1@changed.example");
    members.update(&loaded).await.unwrap();
    assert_eq!(other.reads("m-1").await, "m-1@changed.example");
    members.put(&member("m-5")).await.unwrap();
    let sixth = member("m-6");
    DynamoTransaction::new(&client).put(&members, &sixth).await.unwrap();
    assert_eq!(other.reads("m-5").await, "m-5@ours.example");
    assert_eq!(other.item("m-6").await["tags"].as_l().unwrap()[0].as_s().unwrap(), "vip-canary");
    other.changes("m-5", "m-5@theirs.example").await;
    assert_eq!(members.get("m-5".to_owned()).await.unwrap().email.expose().unwrap(), "m-5@theirs.example");
    let mut ambiguous = member("m-7");
    ambiguous.email.set("ENC:looks sealed");
    assert_eq!(members.put(&ambiguous).await.unwrap_err().kind(), ErrorKind::State);
    assert_eq!(cryptor.stats().key_calls(), 0);

    // 2. plaintext is read, and sealed when it is saved
    policies.set_model("member", AcceptAndSeal);
    let loaded = members.get("m-1".to_owned()).await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), "m-1@changed.example");
    assert_eq!(other.reads("m-1").await, "m-1@changed.example", "reading changes nothing");
    members.update(&loaded).await.unwrap();
    assert_sealed_text(&other.reads("m-1").await);
    // one field of an item: the others stay as they are until they are saved
    let loaded = members.get("m-5".to_owned()).await.unwrap();
    members.update(&loaded).fields(["email"]).await.unwrap();
    let item = other.item("m-5").await;
    assert_sealed_text(item["email"].as_s().unwrap());
    assert_eq!(item["phone"].as_s().unwrap(), "555-0199");
    let mixed = members.get("m-5".to_owned()).decrypt_pii().await.unwrap();
    assert_eq!(mixed.email.expose().unwrap(), "m-5@theirs.example");
    assert_eq!(mixed.phone.unwrap().expose().unwrap(), "555-0199");

    // back once: what is sealed stays readable and sealed, new values are plaintext again
    policies.set_model("member", Prepare);
    let sealed = other.reads("m-1").await;
    let mut loaded = members.get("m-1".to_owned()).decrypt_pii().await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), "m-1@changed.example");
    members.update(&loaded).await.unwrap();
    assert_eq!(other.reads("m-1").await, sealed);
    loaded.email.set("m-1@back.example");
    members.update(&loaded).fields(["email"]).await.unwrap();
    assert_eq!(other.reads("m-1").await, "m-1@back.example");

    // forward again, item by item
    policies.set_model("member", AcceptAndSeal);
    for found in members.scan().await.unwrap() {
        members.update(&found).await.unwrap();
    }

    // 3. strict
    policies.set_model("member", Reject);
    let items = stored(&client, &name).await;
    assert_eq!(items.len(), 6);
    let plaintexts = ["theirs.example", "ours.example", "back.example", "vip-canary", "555-0199"];
    assert_no_plaintext(format!("{items:?}"), &plaintexts);
    for item in &items {
        assert_sealed_text(item["email"].as_s().unwrap());
    }
    let opened = members.scan().decrypt_pii().await.unwrap();
    assert!(opened.iter().all(|member| member.email.state() == ValueState::Opened));
    let email = |id: &str| {
        let member = opened.iter().find(|member| member.id == id).unwrap();
        member.email.expose().unwrap().to_owned()
    };
    assert_eq!(
        [email("m-1"), email("m-2"), email("m-5"), email("m-6")],
        ["m-1@back.example", "m-2@theirs.example", "m-5@theirs.example", "m-6@ours.example"]
    );
    other.changes("m-2", "planted-canary@example.com").await;
    let error = members.get("m-2".to_owned()).decrypt_pii().await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.row_id()), (ErrorKind::NotEncrypted, Some("m-2")));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn what_is_not_text_is_not_accepted_as_plaintext() {
    let client = client();
    let policies = FieldPolicies::new();
    policies.set_model("member", AcceptAndSeal);
    let cryptor = cryptor().with_policies(&policies);
    let name = table(&client, "id", None).await;
    let members = DynamoTable::<Member>::named(&client, &cryptor, &name);
    let other = Other { client: &client, table: &name };
    other.writes("m-1", "m-1@theirs.example").await;
    let whole = other.item("m-1").await;
    for value in [AttributeValue::N("900123".into()), AttributeValue::Null(true)] {
        let mut item = whole.clone();
        item.insert("email".into(), value);
        write_raw(&client, &name, item).await;
        let error = members.get("m-1".to_owned()).await.map(drop).unwrap_err();
        assert_eq!((error.kind(), error.field_name()), (ErrorKind::Database, Some("email")));
        assert!(!format!("{error} {error:?}").contains("900123"), "{error:?}");
    }
    write_raw(&client, &name, whole).await;
    members.get("m-1".to_owned()).await.unwrap();
}

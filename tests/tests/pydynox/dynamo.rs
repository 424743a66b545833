//! A table of DynamoDB that pydynox wrote: read as it is, behind the guard.

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use pii::{
    DynamoTable, EncryptedStr, ErrorKind, FieldPolicies, Item, LegacyPolicy, PiiModel, PlaintextGuard,
};
use serde::{Deserialize, Serialize};

use super::{
    database::{CARD, NOTE, SSN, cryptor},
    dynamo_support::{client, stored, table},
    support::{Emulator, vectors},
};

/// The item of the vectors, as pydynox declares it.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer")]
struct User {
    #[pii(partition_key)]
    pk: String,
    #[pii(sort_key)]
    sk: String,
    email: String,
    #[pii(legacy = "pydynox")]
    ssn: EncryptedStr,
    #[pii(legacy = "pydynox")]
    card: Option<EncryptedStr>,
    #[pii(legacy = "pydynox")]
    note: EncryptedStr,
}

fn written_by_pydynox() -> Item {
    let attributes = vectors().items[0]["dynamodb_json"].as_object().unwrap().clone();
    let text = |value: serde_json::Value| AttributeValue::S(value["S"].as_str().unwrap().into());
    attributes.into_iter().map(|(name, value)| (name, text(value))).collect()
}

fn key() -> (String, String) {
    ("USER#0".into(), "PROFILE".into())
}

#[tokio::test]
async fn a_table_that_pydynox_wrote_is_read_as_it_is_and_moved_step_by_step() {
    let plain = client();
    let name = table(&plain, "pk", Some("sk")).await;
    let before = written_by_pydynox();
    plain.put_item().table_name(&name).set_item(Some(before.clone())).send().await.unwrap();

    let guard = PlaintextGuard::new().table::<User>(&name);
    let client = Client::from_conf(plain.config().to_builder().interceptor(guard).build());
    let (emulator, policies) = (Emulator::new(), FieldPolicies::new());
    let users = DynamoTable::<User>::named(&client, &cryptor(&emulator).with_policies(&policies), &name);

    // loaded sealed, saved unchanged byte by byte, without a key
    let sealed = users.get(key()).await.unwrap();
    assert!(sealed.ssn.expose().is_err());
    users.update(&sealed).await.unwrap();
    users.put(&sealed).await.unwrap();
    assert_eq!((stored(&plain, &name).await, emulator.decrypted()), (vec![before.clone()], 0));
    let mut opened = users.query("USER#0").decrypt_pii().await.unwrap().remove(0);
    assert_eq!(
        [&opened.ssn, opened.card.as_ref().unwrap(), &opened.note].map(|value| value.expose().unwrap()),
        [SSN, CARD, NOTE]
    );

    // new values in the form of pydynox, until it is told otherwise
    opened.ssn.set("900-65-4321");
    users.update(&opened).fields(["ssn"]).await.unwrap();
    let ssn = |items: Vec<Item>| items[0]["ssn"].as_s().unwrap().clone();
    assert!(ssn(stored(&plain, &name).await).starts_with("ENC:AQ"));
    policies.set_model_legacy("customer", LegacyPolicy::ReadAndSeal);
    opened.ssn.set("900-65-9999");
    users.update(&opened).fields(["ssn"]).await.unwrap();
    assert!(ssn(stored(&plain, &name).await).starts_with("ENC:Ag"));
    let read = users.get(key()).decrypt_pii().await.unwrap();
    assert_eq!((read.ssn.expose().unwrap(), read.note.expose().unwrap()), ("900-65-9999", NOTE));

    // the guard still lets no plaintext through, and a value from elsewhere opens nowhere once it is over
    let update = client.update_item().table_name(&name);
    let update =
        update.key("pk", AttributeValue::S("USER#0".into())).key("sk", AttributeValue::S("PROFILE".into()));
    let update = update.update_expression("SET ssn = :s");
    let plaintext = update.expression_attribute_values(":s", AttributeValue::S("900-65-1111".into()));
    assert!(plaintext.send().await.unwrap_err().as_service_error().is_none());
    policies.set_model_legacy("customer", LegacyPolicy::Reject);
    assert_eq!(users.get(key()).decrypt_pii().await.unwrap_err().kind(), ErrorKind::UnknownVersion);
}

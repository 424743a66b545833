//! The interceptor: requests of programs that know nothing of this library.

use aws_sdk_dynamodb::{
    Client,
    error::DisplayErrorContext,
    types::{
        AttributeAction, AttributeValue, AttributeValueUpdate, BatchStatementRequest, ComparisonOperator,
        Condition, Put, PutRequest, TransactWriteItem, WriteRequest,
    },
};
use pii::{
    Cryptor, DecryptItems as _, DynamoTable, EncryptedStr, ErrorKind, FieldPolicies, FileKeyStore, PiiModel,
    PlaintextGuard, PlaintextPolicy, TestKeyring, ctx,
};
use serde::{Deserialize, Serialize};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table},
};

const SECRET: &str = "ada@example.com";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn guarded(table: &str) -> Client {
    guarded_by(PlaintextGuard::new().table::<Customer>(table))
}

fn guarded_by(guard: PlaintextGuard) -> Client {
    Client::from_conf(client().config().to_builder().interceptor(guard).build())
}

/// That a request was refused by the guard, and shows no value.
fn refused<T: std::fmt::Debug, E: std::error::Error + Send + Sync + 'static>(
    sent: Result<T, aws_sdk_dynamodb::error::SdkError<E>>,
) {
    let error = sent.expect_err("the request is refused");
    let shown = format!("{} {error:?}", DisplayErrorContext(&error));
    assert!(shown.contains("customer"), "{shown}");
    assert!(!shown.contains(SECRET), "{shown}");
    assert!(!matches!(error, aws_sdk_dynamodb::error::SdkError::ServiceError(_)), "it was sent: {shown}");
}

#[tokio::test]
async fn plaintext_is_not_sent_by_any_request() {
    let name = table(&client(), "id", None).await;
    let guarded = guarded(&name);
    let put = guarded.put_item().table_name(&name).item("id", s("c-1"));
    refused(put.clone().item("email", s(SECRET)).send().await);
    refused(put.clone().item("email", AttributeValue::M([("a".into(), s(SECRET))].into())).send().await);
    refused(
        put.clone()
            .condition_expression("email <> :e")
            .expression_attribute_values(":e", s(SECRET))
            .send()
            .await,
    );
    let update = guarded.update_item().table_name(&name).key("id", s("c-1"));
    refused(
        update
            .clone()
            .update_expression("SET city = :c, #e = :e")
            .expression_attribute_names("#e", "email")
            .expression_attribute_values(":c", s("London"))
            .expression_attribute_values(":e", s(SECRET))
            .send()
            .await,
    );
    let legacy = AttributeValueUpdate::builder().value(s(SECRET)).action(AttributeAction::Put).build();
    refused(update.clone().attribute_updates("email", legacy).send().await);
    let request = PutRequest::builder().item("id", s("c-1")).item("email", s(SECRET)).build().unwrap();
    let write = WriteRequest::builder().put_request(request).build();
    refused(guarded.batch_write_item().request_items(&name, vec![write]).send().await);
    let put_action =
        Put::builder().table_name(&name).item("id", s("c-1")).item("email", s(SECRET)).build().unwrap();
    let action = TransactWriteItem::builder().put(put_action).build();
    refused(guarded.transact_write_items().transact_items(action).send().await);
    refused(
        guarded
            .scan()
            .table_name(&name)
            .filter_expression("email = :e")
            .expression_attribute_values(":e", s(SECRET))
            .send()
            .await,
    );
    let condition = Condition::builder()
        .comparison_operator(ComparisonOperator::Eq)
        .attribute_value_list(s(SECRET))
        .build()
        .unwrap();
    refused(guarded.scan().table_name(&name).scan_filter("email", condition).send().await);
    let statement = format!("UPDATE \"{name}\" SET \"EMAIL\" = '{SECRET}' WHERE id = 'c-1'");
    refused(guarded.execute_statement().statement(&statement).send().await);
    let statement = BatchStatementRequest::builder().statement(statement).build().unwrap();
    refused(guarded.batch_execute_statement().statements(statement).send().await);
    assert!(stored(&client(), &name).await.is_empty());
}

#[tokio::test]
async fn what_is_sealed_or_no_business_of_the_guard_is_sent() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let guarded = guarded(&name);
    let customers = DynamoTable::<Customer>::named(&guarded, &cryptor, &name);
    customers.put(&ada()).await.unwrap();
    customers.put_many([&ada()]).await.unwrap().all().unwrap();
    let mut loaded = customers.get("c-1".to_owned()).decrypt_pii().await.unwrap();
    loaded.email.set("ada@example.org");
    customers.update(&loaded).await.unwrap();
    // compare and swap of a sealed value, and a copy of a whole item, by the SDK alone
    let item = stored(&client, &name).await.remove(0);
    let email = item["email"].clone();
    guarded
        .update_item()
        .table_name(&name)
        .key("id", s("c-1"))
        .update_expression("SET email = :new REMOVE ssn")
        .condition_expression("email = :old AND attribute_exists(ssn)")
        .expression_attribute_values(":new", email.clone())
        .expression_attribute_values(":old", email)
        .send()
        .await
        .unwrap();
    guarded.put_item().table_name(&name).set_item(Some(item)).send().await.unwrap();
    // another table
    let other = table(&client, "id", None).await;
    guarded.put_item().table_name(&other).item("id", s("x")).item("email", s("free")).send().await.unwrap();
    assert_eq!(
        customers.get("c-1".to_owned()).decrypt_pii().await.unwrap().email.expose().unwrap(),
        "ada@example.org"
    );
}

#[tokio::test]
async fn a_guard_of_one_entity_leaves_the_others_alone() {
    let name = table(&client(), "id", None).await;
    let guarded = guarded_by(PlaintextGuard::new().entity::<Customer>(&name, "entity"));
    let put = guarded.put_item().table_name(&name).item("id", s("c-1")).item("email", s(SECRET));
    refused(put.clone().send().await);
    refused(put.clone().item("entity", s("customer")).send().await);
    put.item("entity", s("newsletter")).send().await.unwrap();
}

/// With a field for each declared policy, and a blind index.
#[derive(PiiModel, Serialize, Deserialize)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Member {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    #[pii(version)]
    version: u32,
    #[pii(blind_index(normalize = "email", bits = 20))]
    email: EncryptedStr,
    #[pii(plaintext = "prepare")]
    phone: Option<EncryptedStr>,
    #[pii(nested)]
    address: Option<Address>,
}

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    city: String,
    #[pii]
    street: EncryptedStr,
}

fn member() -> Member {
    Member {
        id: "c-1".into(),
        tenant: "acme".into(),
        version: 1,
        email: EncryptedStr::new(SECRET),
        phone: None,
        address: Some(Address { city: "London".into(), street: EncryptedStr::new("St James's Square") }),
    }
}

/// Blind indexes need a place where keys are kept.
fn indexing() -> (Cryptor, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = FileKeyStore::open(folder.path().join("keys")).unwrap();
    (Cryptor::envelope().keyring(TestKeyring::new()).key_store(store).build().unwrap(), folder)
}

/// That a request passed the guard: the server may not know it.
fn sent<T: std::fmt::Debug, E: std::fmt::Debug>(sent: Result<T, aws_sdk_dynamodb::error::SdkError<E>>) {
    let passed = matches!(&sent, Ok(_) | Err(aws_sdk_dynamodb::error::SdkError::ServiceError(_)));
    assert!(passed, "{sent:?}");
}

#[tokio::test]
async fn policies_are_asked_for_every_request() {
    let name = table(&client(), "id", None).await;
    let policies = FieldPolicies::new();
    let guarded = guarded_by(PlaintextGuard::new().table::<Member>(&name).policies(&policies));
    let put = |attribute: &str, value: AttributeValue| {
        guarded.put_item().table_name(&name).item("id", s("c-1")).item(attribute, value).send()
    };
    let update = |expression: &str| {
        let update = guarded.update_item().table_name(&name).key("id", s("c-1"));
        update.update_expression(expression).expression_attribute_values(":v", s(SECRET)).send()
    };
    let filter = |attribute: &str| {
        let scan = guarded.scan().table_name(&name).filter_expression(format!("{attribute} = :v"));
        scan.expression_attribute_values(":v", s(SECRET)).send()
    };
    let old = |attribute: &str| {
        let value = AttributeValueUpdate::builder().value(s(SECRET)).action(AttributeAction::Put).build();
        let update = guarded.update_item().table_name(&name).key("id", s("c-1"));
        update.attribute_updates(attribute, value).send()
    };
    let statement = |attribute: &str| {
        let statement = format!("UPDATE \"{name}\" SET {attribute} = '{SECRET}' WHERE id = 'c-1'");
        guarded.execute_statement().statement(statement).send()
    };
    let address = || AttributeValue::M([("street".to_owned(), s(SECRET))].into());

    // what is declared
    put("phone", s(SECRET)).await.unwrap();
    refused(put("email", s(SECRET)).await);
    refused(put("address", address()).await);

    policies.set("customer", "email", PlaintextPolicy::Prepare);
    policies.set("customer", "address.street", PlaintextPolicy::Prepare);
    policies.set("customer", "phone", PlaintextPolicy::Reject);
    put("email", s(SECRET)).await.unwrap();
    put("address", address()).await.unwrap();
    update("SET email = :v, address.street = :v").await.unwrap();
    filter("email").await.unwrap();
    old("email").await.unwrap();
    sent(statement("email").await);
    refused(put("phone", s(SECRET)).await);
    refused(update("SET phone = :v").await);
    refused(filter("phone").await);
    refused(old("phone").await);
    refused(statement("phone").await);

    policies.set("customer", "email", PlaintextPolicy::AcceptAndSeal);
    refused(put("email", s(SECRET)).await);
    // it has ended
    let past = std::time::SystemTime::UNIX_EPOCH;
    policies.set_until("customer", "address.street", PlaintextPolicy::Prepare, past);
    refused(put("address", address()).await);
    policies.clear("customer", "phone");
    put("phone", s(SECRET)).await.unwrap();

    // a policy that the model can't have lets nothing pass, and leaves other tables alone
    policies.set("customer", "city", PlaintextPolicy::Prepare);
    refused(put("city", s("London")).await);
    let other = table(&client(), "id", None).await;
    guarded.put_item().table_name(&other).item("id", s("x")).send().await.unwrap();
}

#[tokio::test]
async fn conditions_of_reading_requests_know_policies_too() {
    let client = client();
    let name = table(&client, "id", None).await;
    let policies = FieldPolicies::new();
    let (cryptor, _keys) = indexing();
    let cryptor = cryptor.with_policies(&policies);
    DynamoTable::<Member>::named(&client, &cryptor, &name).put(&member()).await.unwrap();
    let read = async |attribute: &str| {
        let scan = client.scan().table_name(&name).filter_expression(format!("{attribute} = :v"));
        let scan = scan.expression_attribute_values(":v", s(SECRET)).decrypt_pii(&cryptor);
        scan.send::<Member>().await.map(|found| found.items.len()).map_err(|error| error.kind())
    };
    assert_eq!(read("phone").await, Ok(0));
    assert_eq!(read("email").await, Err(ErrorKind::Configuration));
    policies.set("customer", "phone", PlaintextPolicy::AcceptAndSeal);
    policies.set("customer", "email", PlaintextPolicy::Prepare);
    assert_eq!(read("phone").await, Err(ErrorKind::Configuration));
    assert_eq!(read("email").await, Ok(0));
}

#[tokio::test]
async fn sealed_values_are_not_copied_to_where_they_do_not_open() {
    let (client, (cryptor, _keys)) = (client(), indexing());
    let name = table(&client, "id", None).await;
    let guarded = guarded_by(PlaintextGuard::new().table::<Member>(&name));
    let members = DynamoTable::<Member>::named(&guarded, &cryptor, &name);
    members.put(&member()).await.unwrap();
    let update = |expression: &str| {
        let update = guarded.update_item().table_name(&name).key("id", s("c-1"));
        let names = [("#s", "street")].into_iter().filter(|(name, _)| expression.contains(name));
        let update = names.fold(update, |update, (name, text)| update.expression_attribute_names(name, text));
        update.update_expression(expression).send()
    };
    for copy in [
        "SET nickname = email",
        "SET phone = email",
        "SET backup = address",
        "SET email = address.#s",
        "SET nickname = if_not_exists(nickname, email)",
        "SET email_bidx = id",
    ] {
        refused(update(copy).await);
    }
    update("SET email = email, address.#s = address.#s, nickname = id REMOVE phone").await.unwrap();
    let loaded = members.get("c-1").decrypt_pii().await.unwrap();
    assert_eq!(loaded.email.expose().unwrap(), SECRET);
}

#[tokio::test]
async fn attributes_of_blind_indexes_hold_codes() {
    let (client, (cryptor, _keys)) = (client(), indexing());
    let name = table(&client, "id", None).await;
    let guarded = guarded_by(PlaintextGuard::new().table::<Member>(&name));
    let members = DynamoTable::<Member>::named(&guarded, &cryptor, &name);
    members.put(&member()).await.unwrap();
    let code = stored(&client, &name).await.remove(0)["email_bidx"].clone();
    assert_eq!(code.as_s().unwrap().len(), 6);
    let put = |code: AttributeValue| {
        guarded.put_item().table_name(&name).item("id", s("c-2")).item("email_bidx", code).send()
    };
    put(code.clone()).await.unwrap();
    let shorter = &code.as_s().unwrap()[..4];
    for other in [s(SECRET), s(shorter), s(&"A".repeat(6)), AttributeValue::N("100000".into())] {
        refused(put(other).await);
    }
    let filter = |code: AttributeValue| {
        let scan = guarded.scan().table_name(&name).filter_expression("email_bidx = :code");
        scan.expression_attribute_values(":code", code).send()
    };
    assert_eq!(filter(code).await.unwrap().count, 2);
    refused(filter(s(SECRET)).await);
    let statement = |text: &str| guarded.execute_statement().statement(text.replace("TABLE", &name)).send();
    refused(statement("UPDATE \"TABLE\" SET email_bidx = 'x' WHERE id = 'c-1'").await);
    sent(statement("SELECT id FROM \"TABLE\" WHERE email_bidx = '0af0'").await);
}

#[tokio::test]
async fn every_request_of_a_table_passes() {
    let client = client();
    let name = table(&client, "id", None).await;
    let guarded = guarded_by(PlaintextGuard::new().entity::<Member>(&name, "entity"));
    let (cryptor, _keys) = indexing();
    let cryptor = cryptor.scoped(ctx!(tenant = "acme"));
    let members = DynamoTable::<Member>::named(&guarded, &cryptor, &name).entity("entity");
    let mut one = member();
    members.put(&one).if_absent().await.unwrap();
    one.phone = Some(EncryptedStr::new("555-0100"));
    members.update(&one).await.unwrap();
    one.version += 1;
    one.email.set("ada@example.org");
    members.update(&one).fields(["email"]).await.unwrap();
    one.version += 1;
    members.put(&one).await.unwrap();
    one.version += 1;
    pii::DynamoTransaction::new(&guarded).put(&members, &one).await.unwrap();
    members.put_many([&one]).unconditionally().await.unwrap().all().unwrap();
    assert_eq!(members.scan().only("tenant", "acme").decrypt_pii().await.unwrap().len(), 1);
    assert_eq!(members.query("c-1").decrypt_pii().await.unwrap().len(), 1);
    members.delete("c-1").await.unwrap();
}

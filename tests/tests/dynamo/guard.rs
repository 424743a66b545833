//! The interceptor: requests of programs that know nothing of this library.

use aws_sdk_dynamodb::{
    Client,
    error::DisplayErrorContext,
    types::{
        AttributeAction, AttributeValue, AttributeValueUpdate, BatchStatementRequest, ComparisonOperator,
        Condition, Put, PutRequest, TransactWriteItem, WriteRequest,
    },
};
use pii::{DynamoTable, PlaintextGuard};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table},
};

const SECRET: &str = "ada@example.com";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn guarded(table: &str) -> Client {
    let guard = PlaintextGuard::new().table::<Customer>(table);
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
    let guard = PlaintextGuard::new().entity::<Customer>(&name, "entity");
    let guarded = Client::from_conf(client().config().to_builder().interceptor(guard).build());
    let put = guarded.put_item().table_name(&name).item("id", s("c-1")).item("email", s(SECRET));
    refused(put.clone().send().await);
    refused(put.clone().item("entity", s("customer")).send().await);
    put.item("entity", s("newsletter")).send().await.unwrap();
}

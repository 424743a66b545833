//! `pii_schema()`.

use pii::{PiiModel, RowBinding};
use serde_json::{Value, json};

use crate::models::Customer;

#[test]
fn the_schema_is_a_stable_document() {
    let schema = serde_json::to_value(Customer::pii_schema()).unwrap();
    assert_eq!(schema["model"], "customer");
    assert_eq!(schema["table"], "customers");
    assert_eq!(schema["was"], json!(["client"]));
    assert_eq!(schema["view"], false);
    assert_eq!(schema["binding"], "row");
    assert_eq!(schema["id"], json!(["id"]));
    assert_eq!(
        schema["context"],
        json!([
            { "name": "app", "literal": "shop", "column": null },
            { "name": "tenant", "literal": null, "column": "tenant" }
        ])
    );
    let paths: Vec<&str> =
        schema["fields"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "name",
            "nickname",
            "born",
            "email",
            "ssn",
            "phones",
            "answers",
            "preferences",
            "home.street",
            "home.door",
            "others.street",
            "others.door"
        ]
    );
    assert_eq!(
        schema["fields"][0],
        json!({
            "path": "name", "column": "full_name", "attribute": "fullName", "level": 1, "type": "plain",
            "many": false, "mode": "ReadWrite", "mask": "name", "keyring": null, "plaintext": null,
            "legacy": null, "was": [], "pad": null, "blind_indexes": []
        })
    );
    assert_eq!(
        schema["fields"][3],
        json!({
            "path": "email", "column": "email", "attribute": "email", "level": 2, "type": "text",
            "many": false, "mode": "ReadWrite", "mask": "email", "keyring": "main",
            "plaintext": "accept_and_seal", "legacy": null, "was": ["mail"], "pad": null,
            "blind_indexes": []
        })
    );
    assert_eq!(schema["fields"][4]["level"], 3);
    assert_eq!(schema["fields"][4]["mode"], "WriteOnly");
    assert_eq!(schema["fields"][7]["type"], "json");
    assert_eq!(schema["fields"][10]["attribute"], "others.street");
    assert_eq!(schema["fields"][10]["column"], "others");
    assert_eq!(schema["fields"][10]["many"], true);
}

#[test]
fn its_text_is_the_same_document_in_a_stable_order() {
    let text = Customer::pii_schema().to_string();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), json!(Customer::pii_schema()));
    assert_eq!(text, Customer::pii_schema().to_string());
    let at = |key: &str| text.find(&format!("\"{key}\":")).unwrap();
    let keys = ["model", "table", "was", "view", "binding", "id", "context", "fields"];
    assert!(keys.is_sorted_by_key(|key| at(key)), "{text}");
}

#[test]
fn fields_know_binding_and_context() {
    let fields = Customer::pii_fields();
    let email = fields.iter().find(|field| field.path == "email").unwrap();
    assert_eq!(email.binding, RowBinding::Row);
    let names: Vec<&str> = email.context.iter().map(|part| part.name).collect();
    assert_eq!(names, ["app", "tenant"]);
}

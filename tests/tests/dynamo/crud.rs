//! One item, written and read.

use pii::{DynamoTable, ErrorKind, ValueState};

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, stored, table},
};

#[tokio::test]
async fn an_item_is_sealed_when_put_and_opened_on_request() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    let customers = DynamoTable::<Customer>::named(&client, &cryptor, &name);
    let ada = ada();
    customers.put(&ada).await.unwrap();
    assert_eq!(ada.email.expose().unwrap(), "ada@example.com");

    let items = stored(&client, &name).await;
    assert!(items[0]["email"].as_s().unwrap().starts_with("ENC:"));
    assert_eq!(items[0]["city"].as_s().unwrap(), "London");

    let calls = cryptor.stats().key_calls();
    let sealed = customers.get("c-1".to_owned()).await.unwrap();
    assert_eq!(sealed.email.state(), ValueState::Sealed);
    assert_eq!(cryptor.stats().key_calls(), calls);
    let opened = customers.get("c-1".to_owned()).decrypt_pii().await.unwrap();
    assert_eq!(opened.email.expose().unwrap(), "ada@example.com");
    assert!(opened.ssn.unwrap().expose().is_err());

    assert_eq!(customers.get("c-2".to_owned()).await.unwrap_err().kind(), ErrorKind::RowNotFound);
    assert!(customers.get("c-2".to_owned()).optional().await.unwrap().is_none());
}

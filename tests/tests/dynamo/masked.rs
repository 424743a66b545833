//! Reads that give masked views.

use pii::{DynamoTable, ErrorKind, Mode};
use serde_json::json;

use crate::{
    models::{Customer, ada},
    support::{client, cryptor, table},
};

#[tokio::test]
async fn views_open_nothing_unless_masks_show_a_part() {
    let (client, cryptor) = (client(), cryptor());
    let name = table(&client, "id", None).await;
    DynamoTable::<Customer>::named(&client, &cryptor, &name).put(&ada()).await.unwrap();
    let shown = |email: &str| json!({ "id": "c-1", "tenant": "acme", "city": "London", "email": email, "ssn": "*****" });
    let customers = DynamoTable::<Hinting>::named(&client, &cryptor, &name);
    let id = || "c-1".to_owned();

    let before = cryptor.stats().opened;
    let sealed = shown("*****");
    assert_eq!(customers.get(id()).decrypt_pii().masked().await.unwrap().as_json(), &sealed);
    assert_eq!(customers.get(id()).optional().masked().await.unwrap().unwrap().as_json(), &sealed);
    assert_eq!(customers.query(id()).masked().await.unwrap()[0].as_json(), &sealed);
    assert_eq!(customers.scan().masked().await.unwrap()[0].as_json(), &sealed);
    assert_eq!(cryptor.stats().opened, before);

    let hinted = shown("a****@example.com");
    assert_eq!(customers.get(id()).masked_with_hints().await.unwrap().as_json(), &hinted);
    assert_eq!(customers.query(id()).masked_with_hints().await.unwrap()[0].as_json(), &hinted);
    assert_eq!(cryptor.stats().opened, before + 2);

    let writing = DynamoTable::<Hinting>::named(&client, &cryptor.limited_to(Mode::WriteOnly), &name);
    assert_eq!(writing.get(id()).masked_with_hints().await.unwrap().as_json(), &sealed);

    let nobody = customers.get("c-2".to_owned()).masked().await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::RowNotFound);
}

/// The same items with a mask that shows a part.
#[derive(pii::PiiModel, serde::Serialize, serde::Deserialize)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Hinting {
    #[pii(partition_key)]
    id: String,
    tenant: String,
    city: String,
    #[pii(mask = "email")]
    email: pii::EncryptedStr,
    #[pii(mode = "WriteOnly", mask = "last4")]
    ssn: Option<pii::EncryptedStr>,
}

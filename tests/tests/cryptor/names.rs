//! Former names of models and fields.

use super::*;

#[derive(PiiModel, Clone, Serialize, Deserialize)]
#[pii(name = "client", was = "customer", context(app = "billing", tenant = self.tenant))]
struct Client {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[serde(rename = "email")]
    #[pii(was = "email")]
    mail: EncryptedStr,
    ssn: Option<EncryptedStr>,
}

#[tokio::test]
async fn former_names_open_and_new_values_get_the_new_names() {
    let cryptor = cryptor();
    let mut rows = [ada()];
    cryptor.seal(&mut rows).await.unwrap();
    let json = serde_json::to_string(&rows[0]).unwrap();
    let mut renamed: [Client; 1] = [serde_json::from_str(&json).unwrap()];
    cryptor.open(&mut renamed).await.unwrap();
    assert_eq!(renamed[0].mail.expose().unwrap(), "ada@example.com");
    renamed[0].mail.reseal().unwrap();
    cryptor.seal(&mut renamed).await.unwrap();
    let mut old: [Customer; 1] =
        [serde_json::from_str(&serde_json::to_string(&renamed[0]).unwrap()).unwrap()];
    assert_eq!(cryptor.open(&mut old).await.unwrap_err().kind(), ErrorKind::Integrity);
}

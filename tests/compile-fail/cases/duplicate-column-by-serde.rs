use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel, serde::Serialize)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
    #[serde(rename = "email")]
    work_email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    tenant: i64,
    #[pii(id, bind = "field")]
    id: Option<i64>,
    email: EncryptedStr,
}

fn main() {}

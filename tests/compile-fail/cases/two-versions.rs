use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(version)]
    version: i64,
    #[pii(version)]
    revision: i64,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    id: i64,
    email: EncryptedStr,
}

fn main() {}

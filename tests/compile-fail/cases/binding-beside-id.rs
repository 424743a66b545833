use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", bind = "field")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

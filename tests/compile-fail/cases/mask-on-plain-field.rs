use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mask = "name")]
    name: String,
    #[pii(level = 1, mask = "last4")]
    age: Option<u8>,
    email: EncryptedStr,
}

fn main() {}

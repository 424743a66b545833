use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    email: EncryptedStr,
    #[pii(level = 1, mode = "WriteOnly", keyring = "high")]
    name: String,
}

fn main() {}

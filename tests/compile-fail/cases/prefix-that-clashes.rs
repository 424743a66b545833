use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    street: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    home_street: String,
    #[pii(nested, prefix = "home_")]
    home: Address,
}

fn main() {}

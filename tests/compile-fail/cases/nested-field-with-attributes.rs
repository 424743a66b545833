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
    #[pii(nested, mode = "WriteOnly", mask = "first")]
    address: Address,
}

fn main() {}

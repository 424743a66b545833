use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", legacy = "pydynox")]
struct Customer {
    #[pii(id, legacy = "pydynox")]
    id: i64,
    #[pii(level = 1, legacy = "pydynox")]
    name: String,
    #[pii(nested, legacy = "pydynox")]
    address: Address,
}

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    #[pii(legacy = "pydynox")]
    street: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(partition_key)]
    email: EncryptedStr,
    #[pii(sort_key, level = 1)]
    name: String,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel, Debug)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(nested)]
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    email: EncryptedStr,
    #[pii(version)]
    version: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: String,
    #[pii(pad = 32)]
    name: String,
    email: EncryptedStr,
}

fn main() {}

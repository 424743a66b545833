use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: f64,
    email: EncryptedStr,
}

fn main() {}

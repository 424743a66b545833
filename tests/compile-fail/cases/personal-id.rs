use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id, level = 1)]
    email: String,
    #[pii(id, mode = "ReadOnly")]
    number: i64,
    phone: EncryptedStr,
}

fn main() {}

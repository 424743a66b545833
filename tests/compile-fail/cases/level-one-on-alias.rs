use pii::{EncryptedStr, PiiModel};

type Email = EncryptedStr;

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    email: Email,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 4)]
    ssn: EncryptedStr,
    #[pii(level = 0)]
    name: String,
}

fn main() {}

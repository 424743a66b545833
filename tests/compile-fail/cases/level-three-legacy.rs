use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 3, legacy = "pydynox")]
    ssn: EncryptedStr,
    #[pii(level = 2, legacy = "pydynox")]
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
    #[pii(name = "email")]
    work_email: EncryptedStr,
}

fn main() {}

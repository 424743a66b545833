use pii::{EncryptedStr, PiiModel};

type Email = EncryptedStr;

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    phone: EncryptedStr,
    backup: Option<Email>,
}

fn main() {}

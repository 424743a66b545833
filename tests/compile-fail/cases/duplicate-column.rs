use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(column = "mail")]
    email: EncryptedStr,
    mail: String,
}

fn main() {}

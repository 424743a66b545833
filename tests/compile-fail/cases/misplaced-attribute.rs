use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", level = 2)]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(table = "customers")]
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
    #[pii(skip, mode = "ReadOnly", level = 2)]
    phone: EncryptedStr,
    #[pii(id, skip)]
    cache: u32,
}

fn main() {}

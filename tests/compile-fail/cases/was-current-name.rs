use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", was("client", "customer"))]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(was = "email")]
    email: EncryptedStr,
    #[pii(was("tel", "tel"))]
    phone: EncryptedStr,
}

fn main() {}

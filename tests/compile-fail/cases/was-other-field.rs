use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(was("phone", "mail"))]
    email: EncryptedStr,
    #[pii(was = "mail")]
    phone: EncryptedStr,
}

fn main() {}

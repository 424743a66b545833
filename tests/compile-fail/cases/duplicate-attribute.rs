use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers")]
#[pii(name = "client")]
struct Customer {
    #[pii(id, id)]
    id: i64,
    #[pii(mode = "ReadOnly", mask = "email", mode = "WriteOnly")]
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id, bind = "row")]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

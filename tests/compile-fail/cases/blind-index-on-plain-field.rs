use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 1, blind_index)]
    city: String,
    #[pii(blind_index)]
    street: String,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index)]
    emails: Vec<EncryptedStr>,
}

fn main() {}

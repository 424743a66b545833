use pii::{EncryptedStr, PiiModel};

type Phones = Vec<EncryptedStr>;

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii]
    phones: Phones,
}

fn main() {}

//! A mistake in a nested struct gives no second message where the struct stands.
use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    #[pii(mask = "street")]
    street: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(nested)]
    address: Address,
    #[pii(nested)]
    former: Vec<Address>,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};
use serde::{Deserialize, Serialize};

#[derive(PiiModel, Serialize, Deserialize)]
#[pii(nested)]
struct Address {
    street: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(prefix = "email_")]
    email: EncryptedStr,
    #[pii(nested, prefix = "former_")]
    former: Vec<Address>,
    #[pii(nested, prefix = "home_", column = "home")]
    home: Address,
}

fn main() {}

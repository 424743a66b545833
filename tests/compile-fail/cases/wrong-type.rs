use std::collections::HashSet;

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 2)]
    name: Option<String>,
    phones: HashSet<EncryptedStr>,
    pair: (EncryptedStr, u8),
}

fn main() {}

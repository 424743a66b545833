use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(nested, name = "address", table = "addresses", context(app = "billing"))]
struct Address {
    #[pii(id)]
    id: i64,
    #[pii(version)]
    version: i64,
    #[pii(column = "street_name")]
    street: EncryptedStr,
}

fn main() {}

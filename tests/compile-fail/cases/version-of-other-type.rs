use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(version)]
    version: Option<i64>,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "order")]
struct Order {
    #[pii(id)]
    id: i64,
    #[pii(version)]
    version: String,
    note: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", fields = "no name")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(search = "with-email"))]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "order", fields = "columns")]
struct Order<T> {
    #[pii(id)]
    id: i64,
    note: T,
    #[pii(blind_index(search = "found"), blind_index(name = "other", search = "found"))]
    address: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(nested, fields = "columns")]
struct Address {
    street: EncryptedStr,
}

fn main() {}

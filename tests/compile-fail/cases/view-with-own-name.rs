use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, name = "customer", table = "customers")]
struct CustomerEmail<T> {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
    other: T,
}

fn main() {}

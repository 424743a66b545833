use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index)]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer)]
struct CustomerView {
    #[pii(id)]
    id: i64,
    #[pii(blind_index)]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    #[pii(blind_index)]
    street: EncryptedStr,
}

fn main() {}

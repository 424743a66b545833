use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydynox")]
    email: EncryptedStr,
    #[pii(legacy = "pydynox")]
    phone: EncryptedStr,
    note: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer)]
struct Contact {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydynox")]
    email: EncryptedStr,
    phone: EncryptedStr,
    #[pii(legacy = "pydynox")]
    note: EncryptedStr,
}

fn main() {}

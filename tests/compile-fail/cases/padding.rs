use pii::{Encrypted, EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(was_unpadded)]
    email: EncryptedStr,
    #[pii(pad = 0)]
    phone: EncryptedStr,
    #[pii(pad = "32")]
    city: EncryptedStr,
    #[pii(pad = 32)]
    name: String,
}

#[derive(PiiModel)]
#[pii(name = "patient")]
struct Patient {
    #[pii(id)]
    id: i64,
    #[pii(pad = 32)]
    age: Encrypted<u8>,
}

fn main() {}

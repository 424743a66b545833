use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(normalize = "email"), blind_index(normalize = "lower"))]
    email: EncryptedStr,
    #[pii(blind_index(name = "e-mail"))]
    other: EncryptedStr,
    #[pii(blind_index(column = "city"))]
    phone: EncryptedStr,
    city: String,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mask = last4)]
    ssn: EncryptedStr,
    #[pii(mask = "last_4")]
    card: EncryptedStr,
    #[pii(mask = |text| text.to_owned())]
    email: EncryptedStr,
}

fn main() {}

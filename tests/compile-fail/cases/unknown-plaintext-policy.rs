use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", plaintext = "refuse")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(plaintext = "acceptandseal")]
    email: EncryptedStr,
}

fn main() {}

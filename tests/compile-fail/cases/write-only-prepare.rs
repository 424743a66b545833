use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", plaintext = "prepare")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mode = "WriteOnly")]
    ssn: EncryptedStr,
    #[pii(mode = "WriteOnly", plaintext = "accept_and_seal")]
    card: EncryptedStr,
}

fn main() {}

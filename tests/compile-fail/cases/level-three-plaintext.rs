use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 3, plaintext = "accept_and_seal")]
    ssn: EncryptedStr,
    #[pii(level = 3, plaintext = "prepare")]
    account: Option<EncryptedStr>,
    #[pii(level = 3, plaintext = "reject")]
    card: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "employee", plaintext = "accept_and_seal")]
struct Employee {
    #[pii(id)]
    id: i64,
    #[pii(level = 3)]
    ssn: EncryptedStr,
    #[pii(level = 3, plaintext = "reject")]
    account: EncryptedStr,
    email: EncryptedStr,
}

fn main() {}

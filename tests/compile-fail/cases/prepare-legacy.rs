use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(plaintext = "prepare", legacy = "pydynox")]
    ssn: EncryptedStr,
    #[pii(plaintext = "accept_and_seal", legacy = "pydynox")]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "employee", plaintext = "prepare")]
struct Employee {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydynox")]
    ssn: EncryptedStr,
    #[pii(legacy = "pydynox", plaintext = "reject")]
    email: EncryptedStr,
}

fn main() {}

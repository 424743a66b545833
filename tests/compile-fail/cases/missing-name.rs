use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
struct CustomerAccount {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

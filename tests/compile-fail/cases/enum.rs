use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "contact")]
enum Contact {
    Email(EncryptedStr),
}

fn main() {}

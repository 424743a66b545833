use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", from_row)]
struct Customer<'a> {
    #[pii(id)]
    id: &'a str,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", tabel = "customers")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(rename = "mail", colum = "mail")]
    email: EncryptedStr,
    #[pii(encrypt)]
    phone: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mode = "WriteOnly")]
    ssn: EncryptedStr,
    #[pii(column = "email_sealed")]
    email: EncryptedStr,
    phone: EncryptedStr,
    note: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer)]
struct CustomerView {
    #[pii(id)]
    id: i64,
    ssn: EncryptedStr,
    email: EncryptedStr,
    #[pii(plaintext = "prepare")]
    phone: EncryptedStr,
    #[pii(mode = "ReadOnly")]
    note: EncryptedStr,
}

fn main() {}

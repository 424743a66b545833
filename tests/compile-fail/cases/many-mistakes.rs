//! All of a struct's mistakes are reported at once, and its uses give no more.
use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = 1, tabel = "customers")]
struct Customer {
    #[pii(id, mode = "ReadOnly")]
    id: Option<i64>,
    #[pii(mode = ReadOnly, colum = "mail")]
    email: EncryptedStr,
    #[pii(skip, mask = "email")]
    phone: EncryptedStr,
}

fn is_model<M: PiiModel + std::fmt::Debug>(_: &M) {}

fn main() {
    is_model(&Customer { id: None, email: EncryptedStr::new("ada@example.com"), phone: EncryptedStr::new("1") });
}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(legacy = "pydinox")]
    email: EncryptedStr,
    #[pii(legacy = pydynox)]
    phone: EncryptedStr,
    #[pii(legacy = "amsdal")]
    note: EncryptedStr,
}

fn main() {}

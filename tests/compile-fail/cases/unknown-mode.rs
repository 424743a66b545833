use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mode = ReadOnly)]
    email: EncryptedStr,
    #[pii(mode = "read_only")]
    phone: EncryptedStr,
    #[pii(mode = "Sometimes")]
    ssn: EncryptedStr,
}

fn main() {}

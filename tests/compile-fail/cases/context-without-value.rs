use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "billing", tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: Option<String>,
    email: EncryptedStr,
}

fn main() {}

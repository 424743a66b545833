use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant, "tenant" = self.parent))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    parent: String,
    email: EncryptedStr,
}

fn main() {}

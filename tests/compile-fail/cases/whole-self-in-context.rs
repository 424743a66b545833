use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant(), region = region_of(self)))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    email: EncryptedStr,
}

impl Customer {
    fn tenant(&self) -> &str {
        &self.tenant
    }
}

fn region_of(customer: &Customer) -> &str {
    &customer.tenant
}

fn main() {}

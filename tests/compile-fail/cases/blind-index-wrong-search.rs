use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    id: i64,
    tenant: String,
    #[pii(blind_index)]
    email: EncryptedStr,
    phone: EncryptedStr,
}

fn main() {
    let _ = Customer::by_email("ada@example.com");
    let _ = Customer::by_phone("acme", "555");
}

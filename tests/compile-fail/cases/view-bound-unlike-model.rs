use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "billing", tenant = self.tenant))]
struct Customer {
    #[pii(id)]
    tenant: String,
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, context(app = "support", tenant = self.tenant))]
struct OtherContext {
    #[pii(id)]
    tenant: String,
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, context(app = "billing", tenant = self.tenant))]
struct OtherId {
    tenant: String,
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, context(app = "billing", tenant = self.tenant))]
struct OtherBinding {
    #[pii(id)]
    tenant: String,
    #[pii(id, bind = "field")]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

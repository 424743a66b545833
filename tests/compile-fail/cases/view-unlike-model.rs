use pii::{Encrypted, EncryptedStr, Json, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "billing"))]
struct Customer {
    #[pii(id)]
    id: i64,
    name: String,
    #[pii(level = 1)]
    city: String,
    email: EncryptedStr,
    phone: EncryptedStr,
    #[pii(keyring = "high")]
    ssn: EncryptedStr,
    #[pii(was = "remark")]
    note: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, context(app = "billing"))]
struct CustomerView {
    #[pii(id)]
    id: i64,
    name: EncryptedStr,
    city: String,
    email: String,
    phone: Encrypted<Json<String>>,
    ssn: EncryptedStr,
    note: EncryptedStr,
    fax: EncryptedStr,
}

fn main() {}

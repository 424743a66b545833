//! A sealed field has no comparison; a plain one has.

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers")]
struct Customer {
    #[pii(id)]
    id: i64,
    city: String,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

fn main() {
    let fields = Customer::fields();
    let _ = fields.city.eq("London").and(fields.id.gt(7)).and(fields.phone.is_absent());
    let _ = fields.email.eq("ada@example.com");
    let _ = fields.phone.like("555%");
}

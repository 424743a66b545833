//! A mistake in a model gives no second message in its views.
use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(app = "billing"))]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(mode = "WriteSometimes")]
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Customer, context(app = "billing"))]
struct CustomerEmail {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(
    name = "customer",
    context(a = "1", b = "2", c = "3", d = "4", e = "5", f = "6", g = "7", h = "8", i = "9", j = "10")
)]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer", context(owner = self.email.to_string(), name = self.name, cache = format!("{}", self.cache)))]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    name: String,
    #[pii(skip)]
    cache: u32,
    email: EncryptedStr,
}

fn main() {}

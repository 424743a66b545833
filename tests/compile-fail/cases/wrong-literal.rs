use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = 7, table, context = "tenant", from_row = true, debug = manual)]
struct Customer {
    #[pii(id = true)]
    id: i64,
    #[pii(level = "2", column = email)]
    email: EncryptedStr,
    #[pii = "level 2"]
    phone: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "", was(), context(tenant = "", "" = self.region))]
struct Customer {
    #[pii(id, column = "")]
    id: i64,
    region: String,
    #[pii(name = "", keyring = "")]
    email: EncryptedStr,
}

fn main() {}

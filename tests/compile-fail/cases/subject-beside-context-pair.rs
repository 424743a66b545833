use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "note", context(tenant = self.tenant, subject = self.author), subject = self.person_id)]
struct Note {
    #[pii(id)]
    id: i64,
    tenant: String,
    author: String,
    person_id: String,
    text: EncryptedStr,
}

fn main() {}

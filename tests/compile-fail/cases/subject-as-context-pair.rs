use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "note", context(tenant = self.tenant, "subject" = self.person_id))]
struct Note {
    #[pii(id)]
    id: i64,
    tenant: String,
    person_id: String,
    text: EncryptedStr,
}

fn main() {}

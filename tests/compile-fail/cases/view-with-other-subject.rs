use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "note", context(tenant = self.tenant), subject = self.person_id)]
struct Note {
    #[pii(id)]
    id: i64,
    tenant: String,
    person_id: String,
    author_id: String,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Note, context(tenant = self.tenant))]
struct WithoutSubject {
    #[pii(id)]
    id: i64,
    tenant: String,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(view_of = Note, context(tenant = self.tenant), subject = self.author_id)]
struct OfAnotherField {
    #[pii(id)]
    id: i64,
    tenant: String,
    person_id: String,
    author_id: String,
    text: EncryptedStr,
}

fn main() {}

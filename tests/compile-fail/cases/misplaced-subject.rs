use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(nested, subject = self.person_id)]
struct Nested {
    person_id: String,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "note")]
struct Note {
    #[pii(id)]
    id: i64,
    #[pii(subject)]
    person_id: String,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(
    name = "crowded",
    subject = self.person_id,
    context(a = "1", b = "2", c = "3", d = "4", e = "5", f = "6", g = "7", h = "8"),
)]
struct Crowded {
    #[pii(id)]
    id: i64,
    person_id: String,
    text: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "note", subject = self.person_id)]
struct Note {
    #[pii(id)]
    id: i64,
    person_id: Option<String>,
    text: EncryptedStr,
}

fn main() {}

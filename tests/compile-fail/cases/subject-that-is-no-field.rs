use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "literal", subject = "everybody")]
struct Literal {
    #[pii(id)]
    id: i64,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "call", subject = self.person_id.to_lowercase())]
struct Call {
    #[pii(id)]
    id: i64,
    person_id: String,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "nothing", subject)]
struct Nothing {
    #[pii(id)]
    id: i64,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "unknown", subject = self.person)]
struct Unknown {
    #[pii(id)]
    id: i64,
    text: EncryptedStr,
}

fn main() {}

use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "sealed", subject = self.email)]
struct SealedSubject {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "personal", subject = self.name)]
struct PersonalSubject {
    #[pii(id)]
    id: i64,
    #[pii(level = 1)]
    name: String,
    email: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "skipped", subject = self.person)]
struct SkippedSubject {
    #[pii(id)]
    id: i64,
    #[pii(skip)]
    person: String,
    email: EncryptedStr,
}

fn main() {}

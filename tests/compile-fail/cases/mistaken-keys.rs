use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "order")]
struct Order {
    #[pii(sort_key)]
    number: i64,
    address: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "visit")]
struct Visit {
    #[pii(sort_key)]
    day: String,
    #[pii(partition_key)]
    customer: String,
    notes: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "letter")]
struct Letter {
    #[pii(partition_key)]
    customer: String,
    #[pii(id)]
    number: i64,
    text: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "note")]
struct Note {
    #[pii(partition_key)]
    customer: String,
    #[pii(partition_key)]
    number: i64,
    #[pii(sort_key, version)]
    day: i64,
    text: EncryptedStr,
}

fn main() {}

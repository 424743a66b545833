use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(
    name = "customer",
    blind_index(fields(first, last)),
    blind_index(name = "birth"),
    blind_index(name = "all", fields(first, city, lost, first)),
    blind_index(name = "keys", fields(first(normalise = "lower"), last)),
    blind_index(name = "rings", fields(first, last))
)]
struct Customer {
    #[pii(id)]
    id: i64,
    city: String,
    first: EncryptedStr,
    #[pii(keyring = "high")]
    last: EncryptedStr,
}

fn main() {}

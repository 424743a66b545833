use pii::{EncryptedStr, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(normalise = "email"))]
    a: EncryptedStr,
    #[pii(blind_index(normalize = "e-mail"))]
    b: EncryptedStr,
    #[pii(blind_index(normalize = email))]
    c: EncryptedStr,
    #[pii(blind_index(normalize = |text| text.to_owned()))]
    d: EncryptedStr,
    #[pii(blind_index(bits = 0))]
    e: EncryptedStr,
    #[pii(blind_index(bits = 16, unique))]
    f: EncryptedStr,
    #[pii(blind_index(scope = "tenant"))]
    g: EncryptedStr,
    #[pii(blind_index(versions(1, 1)))]
    h: EncryptedStr,
    #[pii(blind_index(versions = 2))]
    i: EncryptedStr,
    #[pii(blind_index = "email")]
    j: EncryptedStr,
}

fn main() {}

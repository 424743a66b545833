use pii::{EncryptedStr, PiiModel};

/// The derive can't know of them.
#[derive(PiiModel)]
#[pii(name = "person")]
struct Person {
    #[pii(id)]
    id: i64,
    #[pii(blind_index)]
    email: EncryptedStr,
}

impl Person {
    fn fields(&self) {}
    fn by_email() {}
}

/// With other names for those of the derive it compiles.
#[derive(PiiModel)]
#[pii(name = "guest", fields = "columns")]
struct Guest {
    #[pii(id)]
    id: i64,
    #[pii(blind_index(search = "with_email"))]
    email: EncryptedStr,
}

impl Guest {
    fn fields(&self) {}
    fn by_email() {}
}

fn main() {}

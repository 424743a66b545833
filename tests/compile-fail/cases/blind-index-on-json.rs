use pii::{Encrypted, Json, PiiModel};

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(blind_index)]
    address: Encrypted<Json<Vec<String>>>,
}

fn main() {}

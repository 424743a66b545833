use pii::PiiModel;

#[derive(PiiModel)]
#[pii(name = "customer")]
struct Customer {
    #[pii(id)]
    id: i64,
    email: String,
}

fn main() {}

use pii::{EncryptedStr, PiiModel, SqlTable};

#[derive(PiiModel)]
#[pii(nested)]
struct Address {
    city: String,
    #[pii(column = "way")]
    street: EncryptedStr,
}

#[derive(PiiModel)]
#[pii(name = "customer", table = "customers", from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    #[pii(nested, prefix = "home_")]
    home: Address,
    #[pii(nested, prefix = "work_")]
    work: Option<Address>,
}

async fn all(pool: &sqlx::SqlitePool, cryptor: &pii::Cryptor) -> pii::Result<Vec<Customer>> {
    SqlTable::<Customer, _>::new(pool, cryptor).list().decrypt_pii().await
}

fn main() {}

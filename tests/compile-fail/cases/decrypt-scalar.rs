use pii::{Cryptor, DecryptPii, EncryptedStr};

async fn email(pool: &sqlx::SqlitePool, cryptor: &Cryptor) {
    let email = sqlx::query_scalar::<_, EncryptedStr>("SELECT email FROM customers WHERE id = 1")
        .decrypt_pii(cryptor)
        .fetch_one(pool)
        .await;
}

fn main() {}

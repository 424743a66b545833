use pii::{Cryptor, DecryptPii, EncryptedStr};

async fn emails(pool: &sqlx::SqlitePool, cryptor: &Cryptor) {
    let rows = sqlx::query_as::<_, (i64, EncryptedStr)>("SELECT id, email FROM customers")
        .decrypt_pii(cryptor)
        .fetch_all(pool)
        .await;
}

fn main() {}

use pii::{Cryptor, DecryptPii, EncryptedStr};

fn emails(cryptor: &Cryptor) {
    let rows = sqlx::query_as::<_, (i64, EncryptedStr)>("SELECT id, email FROM customers")
        .decrypt_pii(cryptor);
}

fn main() {}

use pii::{Cryptor, DecryptPii, EncryptedStr};

fn email(cryptor: &Cryptor) {
    let email = sqlx::query_scalar::<_, EncryptedStr>("SELECT email FROM customers WHERE id = 1")
        .decrypt_pii(cryptor);
}

fn main() {}

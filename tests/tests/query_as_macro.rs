//! `.decrypt_pii()` on `query_as!`, checked at compile time against the description in `tests/.sqlx`.
//!
//! To write that folder again after a change of the query:
//!
//! ```sh
//! sqlite3 /tmp/pii.db 'create table customers (id bigint primary key not null, email text not null, phone text)'
//! SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PWD/tests/.sqlx DATABASE_URL=sqlite:/tmp/pii.db \
//!     cargo check -p pii-tests --test query_as_macro
//! ```

use pii::{Cryptor, DecryptPii as _, EncryptedStr, PiiModel, SqlTable, TestKeyring, testing::assert_sealed};
use sqlx::{SqlitePool, sqlite::SqlitePoolOptions};

#[derive(PiiModel, Clone)]
#[pii(name = "customer", table = "customers", from_row)]
struct Customer {
    #[pii(id)]
    id: i64,
    email: EncryptedStr,
    phone: Option<EncryptedStr>,
}

async fn pool() -> SqlitePool {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap();
    sqlx::raw_sql("create table customers (id bigint primary key not null, email text not null, phone text)")
        .execute(&pool)
        .await
        .unwrap();
    pool
}

#[tokio::test]
async fn a_checked_query_is_opened() {
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    let pool = pool().await;
    let table = SqlTable::<Customer, _>::new(&pool, &cryptor);
    table
        .insert(&Customer { id: 1, email: EncryptedStr::new("ada@example.com"), phone: None })
        .await
        .unwrap();
    let query = || {
        sqlx::query_as!(
            Customer,
            r#"select id, email as "email: EncryptedStr", phone as "phone: EncryptedStr" from customers where id = ?"#,
            1
        )
    };
    let sealed = query().fetch_one(&pool).await.unwrap();
    assert_sealed(&sealed.email);
    let opened = query().decrypt_pii(&cryptor).fetch_one(&pool).await.unwrap();
    assert_eq!(opened.email.expose().unwrap(), "ada@example.com");
    assert!(opened.phone.is_none());
    let none = query().decrypt_pii(&cryptor).fetch_all(&pool).await.unwrap();
    assert_eq!(none.len(), 1);
}

/// The types of the columns stand in `tests/sqlx.toml`.
#[tokio::test]
async fn a_checked_query_whose_columns_have_their_types_in_a_file_is_opened() {
    let cryptor = Cryptor::envelope().keyring(TestKeyring::new()).build().unwrap();
    let pool = pool().await;
    let table = SqlTable::<Customer, _>::new(&pool, &cryptor);
    for id in [1, 2] {
        let phone = (id == 2).then(|| EncryptedStr::new("555-0100"));
        table.insert(&Customer { id, email: EncryptedStr::new("ada@example.com"), phone }).await.unwrap();
    }
    let query = || sqlx::query_as!(Customer, "select id, email, phone from customers order by id");
    assert_sealed(&query().fetch_one(&pool).await.unwrap().email);
    let rows = query().decrypt_pii(&cryptor).fetch_all(&pool).await.unwrap();
    assert!(rows.iter().all(|row| row.email.expose().unwrap() == "ada@example.com"));
    assert_eq!(rows[1].phone.as_ref().unwrap().expose().unwrap(), "555-0100");
    let insert = sqlx::query_as!(
        Customer,
        "insert into customers (id, email) values (3, ?) returning id, email, phone",
        rows[0].email
    );
    let error = insert.decrypt_pii(&cryptor).fetch_one(&pool).await.unwrap_err();
    assert_eq!(error.kind(), pii::ErrorKind::Integrity, "the value belongs to another row");
}
